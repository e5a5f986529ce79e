"""The kernel's record of written pages: userfaultfd write protection and PAGEMAP_SCAN, both by ctypes.

Sources: linux/userfaultfd.h, linux/fs.h, ioctl_userfaultfd(2), PAGEMAP_SCAN(2const). Asynchronous write protection (the kernel
itself lifts it at the first write and remembers the page) and the scan came with Linux 6.7, for arm64 with 6.10.
"""

import ctypes
import errno
import fcntl
import os
import platform
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

Regions = npt.NDArray[np.int64]  # (n, 2): addresses [start, stop), rising

SYSCALL_NUMBERS: Final = {"x86_64": 323, "aarch64": 282}  # userfaultfd; asm/unistd.h
DEVICE: Final = "/dev/userfaultfd"
_USER_MODE_ONLY: Final = 1  # what an unprivileged process may ask for; writes by the kernel are recorded all the same
_API: Final = 0xAA
_FEATURE_WP_UNPOPULATED: Final = 1 << 13
_FEATURE_WP_ASYNC: Final = 1 << 15
_REGISTER_MODE_WP: Final = 1 << 1
_WRITEPROTECT_MODE_WP: Final = 1 << 0
_PM_SCAN_WP_MATCHING: Final = 1 << 0
_PM_SCAN_CHECK_WPASYNC: Final = 1 << 1
_PAGE_IS_WRITTEN: Final = 1 << 1
_REGIONS_PER_SCAN: Final = 16_384  # 384 KiB, reused


class TrackingRefusedError(Exception):
    """The kernel does not track pages here; the text says why, in words. Never reaches the user as an error."""


class _Range(ctypes.Structure):
    _fields_ = (("start", ctypes.c_uint64), ("len", ctypes.c_uint64))


class _Handshake(ctypes.Structure):
    _fields_ = (("api", ctypes.c_uint64), ("features", ctypes.c_uint64), ("ioctls", ctypes.c_uint64))


class _Registration(ctypes.Structure):
    _fields_ = (("range", _Range), ("mode", ctypes.c_uint64), ("ioctls", ctypes.c_uint64))


class _Protection(ctypes.Structure):
    _fields_ = (("range", _Range), ("mode", ctypes.c_uint64))


class _Scan(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("size", "flags", "start", "end", "walk_end", "vec", "vec_len", "max_pages"),
            *("category_inverted", "category_mask", "category_anyof_mask", "return_mask"),
        )
    )


def _request(direction: int, group: int, number: int, argument: type[ctypes.Structure] | None = None) -> int:
    """An ioctl's number as asm-generic/ioctl.h composes it; both architectures use it. Direction: 2 reads, 3 both."""
    size = ctypes.sizeof(argument) if argument else 0
    return direction << 30 | size << 16 | group << 8 | number


UFFDIO_API: Final = _request(3, _API, 0x3F, _Handshake)
UFFDIO_REGISTER: Final = _request(3, _API, 0x00, _Registration)
UFFDIO_UNREGISTER: Final = _request(2, _API, 0x01, _Range)
UFFDIO_WRITEPROTECT: Final = _request(3, _API, 0x06, _Protection)
USERFAULTFD_IOC_NEW: Final = _request(0, _API, 0x00)
PAGEMAP_SCAN: Final = _request(3, ord("f"), 16, _Scan)


class WrittenPages:
    """Which of the system's pages of [start, stop) were written since they were protected.

    Whoever writes is recorded: this process' code and the kernel on its behalf (a read into the memory). Writes of a forked
    child go to the child's copy and are not. Only the process that made it can use it.
    """

    def __init__(self, start: int, stop: int) -> None:
        """
        Raises:
            TrackingRefusedError: this kernel, or what runs us, does not allow it.
        """
        self._start, self._stop = start, stop
        self._pid = os.getpid()
        self._regions = np.zeros((_REGIONS_PER_SCAN, 3), np.uint64)  # struct page_region: start, end, categories
        self._fd = open_userfaultfd()
        self._pagemap = -1
        try:
            self._pagemap = _open_pagemap()
            self._register()
        except BaseException:
            self._close_fds()
            raise

    def protect(self) -> None:
        """Forget what was written. Pages that were never touched are protected too."""
        self._check_process()
        protection = _Protection(self._range(), _WRITEPROTECT_MODE_WP)
        fcntl.ioctl(self._fd, UFFDIO_WRITEPROTECT, protection)

    def scan(self, *, forget: bool) -> Iterator[Regions]:
        """The written regions in order, in batches; each batch that was returned is forgotten, if so wanted.

        Raises:
            OSError: the kernel has no such scan (ENOTTY), or no memory.
        """
        self._check_process()
        flags = _PM_SCAN_CHECK_WPASYNC | (_PM_SCAN_WP_MATCHING if forget else 0)
        at = self._start
        while at < self._stop:
            request = self._scan_request(at, flags)
            count = fcntl.ioctl(self._pagemap, PAGEMAP_SCAN, request)
            yield self._regions[:count, :2].astype(np.int64)
            at = int(request.walk_end)

    def close(self) -> None:
        """Stop recording; a second time does nothing. A forked child only closes its copies."""
        if self._fd >= 0 and os.getpid() == self._pid:
            fcntl.ioctl(self._fd, UFFDIO_UNREGISTER, self._range())
        self._close_fds()

    def _range(self) -> _Range:
        return _Range(self._start, self._stop - self._start)

    def _register(self) -> None:
        wanted = _FEATURE_WP_ASYNC | _FEATURE_WP_UNPOPULATED
        try:
            fcntl.ioctl(self._fd, UFFDIO_API, _Handshake(_API, wanted, 0))
        except OSError as error:
            message = f"kernel {platform.release()} has no asynchronous write protection: it takes 6.7, on arm64 6.10"
            raise TrackingRefusedError(message) from error
        try:
            fcntl.ioctl(self._fd, UFFDIO_REGISTER, _Registration(self._range(), _REGISTER_MODE_WP, 0))
        except OSError as error:
            raise TrackingRefusedError(f"the kernel does not track this memory: {error.strerror}") from error

    def _scan_request(self, at: int, flags: int) -> _Scan:
        return _Scan(
            size=ctypes.sizeof(_Scan),
            flags=flags,
            start=at,
            end=self._stop,
            vec=self._regions.__array_interface__["data"][0],
            vec_len=len(self._regions),
            category_mask=_PAGE_IS_WRITTEN,
            return_mask=_PAGE_IS_WRITTEN,
        )

    def _check_process(self) -> None:
        """A forked child's descriptors are the parent's: using them would erase what the parent has to save."""
        if self._fd < 0:
            raise ValueError("the tracker is closed")
        if os.getpid() != self._pid:
            raise RuntimeError(
                "a forked process can't use its parent's tracker: save in the process that made the state"
            )

    def _close_fds(self) -> None:
        for fd in (self._fd, self._pagemap):
            if fd >= 0:
                os.close(fd)
        self._fd = self._pagemap = -1


def system_call(number: int, flags: int) -> int:
    """userfaultfd(2).

    Raises:
        OSError: refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.syscall(ctypes.c_long(number), ctypes.c_int(flags)))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd


def open_userfaultfd(*, call: Callable[[int, int], int] = system_call, device: str = DEVICE) -> int:
    """A new descriptor: by the system call, or where that is refused (Docker's seccomp profile) by the device.

    Raises:
        TrackingRefusedError: neither way is open.
    """
    flags = os.O_CLOEXEC | _USER_MODE_ONLY
    number = SYSCALL_NUMBERS.get(platform.machine())
    try:
        if number is None:
            raise OSError(errno.ENOSYS, f"its number is not known for {platform.machine()}")
        return call(number, flags)
    except OSError as refusal:
        try:
            return _open_by_device(device, flags)
        except OSError as error:
            message = f"userfaultfd is refused ({refusal.strerror}) and {device} can't be used ({error.strerror})"
            raise TrackingRefusedError(message) from refusal


def _open_by_device(device: str, flags: int) -> int:
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(fd, USERFAULTFD_IOC_NEW, flags)
    finally:
        os.close(fd)


def _open_pagemap() -> int:
    try:
        return os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TrackingRefusedError(f"/proc/self/pagemap can't be read ({error.strerror})") from error
