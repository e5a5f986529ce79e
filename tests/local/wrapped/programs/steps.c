/* A little simulation as people wrote them before anybody spoke of clouds: reads its input, works in steps, appends to its
 * output, and now and then writes a restart file, which it looks for at its start. It knows nothing of who runs it.
 *
 * usage: steps INPUT OUTPUT     INPUT: "seed steps pause_us" on one line
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CELLS = 32768, EVERY = 10 }; /* 256 KiB of state; steps between restart files */

static struct {
    uint64_t step;
    uint64_t written; /* bytes of the output that belong to these steps */
    uint64_t cells[CELLS];
} world;

static uint64_t mix(uint64_t x) {
    x ^= x >> 30, x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27, x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void save(void) {
    FILE *file = fopen("restart.new", "wb");
    if (!file || fwrite(&world, sizeof world, 1, file) != 1 || fclose(file)) fail("restart.new");
    if (rename("restart.new", "restart.bin")) fail("restart.bin");
}

static int restore(void) {
    FILE *file = fopen("restart.bin", "rb");
    if (!file) return 0;
    if (fread(&world, sizeof world, 1, file) != 1) fail("restart.bin");
    return !fclose(file);
}

int main(int count, char **words) {
    uint64_t seed, steps, pause_us;
    FILE *input = count == 3 ? fopen(words[1], "r") : NULL;
    if (!input || fscanf(input, "%" SCNu64 " %" SCNu64 " %" SCNu64, &seed, &steps, &pause_us) != 3) fail("input");
    fclose(input);
    if (!restore())
        for (int i = 0; i < CELLS; i++) world.cells[i] = mix(seed + (uint64_t)i);
    FILE *output = fopen(words[2], "a");
    if (!output || ftruncate(fileno(output), (off_t)world.written)) fail(words[2]);
    printf("starting at step %" PRIu64 "\n", world.step);
    fflush(stdout);
    while (world.step < steps) {
        uint64_t sum = 0, *cells = world.cells;
        uint64_t first = world.step % 64 * (CELLS / 64); /* a part of the cells changes in each step */
        for (uint64_t i = first; i < first + CELLS / 64; i++) cells[i] = mix(cells[i] + cells[(i + 1) % CELLS] + world.step);
        for (int i = 0; i < CELLS; i++) sum = mix(sum ^ cells[i]);
        world.step++;
        fprintf(output, "%" PRIu64 " %016" PRIx64 "\n", world.step, sum);
        if (world.step % EVERY == 0) {
            if (fflush(output)) fail(words[2]);
            world.written = (uint64_t)ftell(output);
            save();
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_us * 1000}, NULL);
    }
    return fclose(output) ? 1 : 0;
}
