"""Listings: their order, their pages, and what they fold."""

from typing import Any

import pytest

from tests.simulation.s3_like_the_service.asking import BUCKET, keys_of, moto_differs, refused


class TestListings:
    KEYS = ("a", "a b", "a/1", "a/2/x", "a/2/y", "a+b", "b/\u00fc", "b/\u4e2d", "c")

    @pytest.fixture
    def listed(self, s3: Any) -> Any:
        for key in self.KEYS:
            s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
        return s3

    def test_keys_come_in_order_of_their_bytes(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET)

        assert keys_of(answer) == sorted(self.KEYS, key=str.encode)
        assert (answer["KeyCount"], answer["IsTruncated"], answer["Prefix"]) == (9, False, "")
        assert answer["Contents"][0]["ETag"] == listed.head_object(Bucket=BUCKET, Key="a")["ETag"]
        assert [entry["Size"] for entry in answer["Contents"][:3]] == [1, 3, 3]

    def test_a_prefix_selects_and_an_empty_page_has_no_contents(self, listed: Any) -> None:
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, Prefix="a/2")) == ["a/2/x", "a/2/y"]
        nothing = listed.list_objects_v2(Bucket=BUCKET, Prefix="zzz")
        assert ("Contents" in nothing, nothing["KeyCount"], nothing["IsTruncated"]) == (False, 0, False)

    def test_pages_go_on_where_the_last_ended(self, listed: Any) -> None:
        seen: list[str] = []
        more: dict[str, str] = {}
        pages = 0
        while True:
            answer = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=4, **more)
            pages += 1
            seen += keys_of(answer)
            if not answer["IsTruncated"]:
                break
            assert len(keys_of(answer)) == answer["MaxKeys"] == 4
            more = {"ContinuationToken": answer["NextContinuationToken"]}

        assert (pages, seen) == (3, sorted(self.KEYS))
        assert "NextContinuationToken" not in answer

    def test_a_key_that_vanished_between_pages_does_not_stop_them(self, listed: Any) -> None:
        first = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=3)
        listed.delete_object(Bucket=BUCKET, Key=keys_of(first)[-1])

        rest = listed.list_objects_v2(Bucket=BUCKET, ContinuationToken=first["NextContinuationToken"])

        assert keys_of(first) + keys_of(rest) == sorted(self.KEYS)

    def test_an_exact_last_page_is_the_last(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=9)

        assert (len(keys_of(answer)), answer["IsTruncated"]) == (9, False)

    def test_a_page_of_no_keys_is_the_last(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=0)

        assert (keys_of(answer), answer["IsTruncated"]) == ([], False)

    def test_a_listing_may_start_after_a_key(self, listed: Any) -> None:
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, Prefix="a/", StartAfter="a/2/x")) == ["a/2/y"]
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, Prefix="a/", StartAfter="0")) == ["a/1", "a/2/x", "a/2/y"]
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, StartAfter="c")) == []

    def test_a_delimiter_folds_folders(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, Delimiter="/")
        below = listed.list_objects_v2(Bucket=BUCKET, Delimiter="/", Prefix="a/")

        assert keys_of(answer) == ["a", "a b", "a+b", "c"]
        assert [each["Prefix"] for each in answer["CommonPrefixes"]] == ["a/", "b/"]
        assert answer["KeyCount"] == 6
        assert (keys_of(below), below["CommonPrefixes"]) == (["a/1"], [{"Prefix": "a/2/"}])

    def test_folders_count_as_one_on_a_page(self, listed: Any) -> None:
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = listed.list_objects_v2(Bucket=BUCKET, Delimiter="/", MaxKeys=1, **more)
            found += keys_of(answer) + [each["Prefix"] for each in answer.get("CommonPrefixes", [])]
            if not answer["IsTruncated"]:
                break
            more = {"ContinuationToken": answer["NextContinuationToken"]}

        assert found == ["a", "a b", "a+b", "a/", "b/", "c"]

    def test_keys_stay_quoted_for_who_asked(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, Prefix="b/", EncodingType="url")

        assert keys_of(answer) == ["b/%C3%BC", "b/%E4%B8%AD"]
        assert answer["EncodingType"] == "url"

    @moto_differs("moto 5.2.5 quotes a space as %20; S3 as +, and both mean the same to unquote_plus")
    def test_a_space_is_quoted_as_a_plus(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, Prefix="a ", EncodingType="url")

        assert keys_of(answer) == ["a+b"]

    def test_a_paginator_walks_all_pages(self, listed: Any) -> None:
        pages = list(listed.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, MaxKeys=5))

        assert [key for page in pages for key in keys_of(page)] == sorted(self.KEYS)
        assert len(pages) == 2

    @moto_differs("moto 5.2.5 takes any text for a token and lists from the start")
    def test_a_token_of_somebody_else_is_refused(self, listed: Any) -> None:
        assert refused(listed.list_objects_v2, Bucket=BUCKET, ContinuationToken="!") == ("InvalidArgument", 400)
