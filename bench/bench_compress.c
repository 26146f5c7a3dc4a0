/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_compress.c - what compression saves and costs, and what deltas of 64-byte lines would.
 *
 *     bench_compress [-d DIRECTORY] [-m MIB] [-n COMMITS] [-j FILE.json] [TEXT FILE]...
 *
 * Three heaps in a space, each once without and once with LZ4, the commits in turn:
 *   words    the lines of a text under their numbers, and how often each word occurred
 *   values   keys with values of 100 to 400 bytes of text
 *   random   the same with random values
 * Measured: the first commit of everything (MiB/s of memory), then durable commits of 1, 16 and 256
 * changed values: median latency, bytes written. A text that is not given is the licences' of the
 * system.
 *
 * Then, on a file of the same disk, for 1, 16 and 1000 strewn pages of which one 64-byte line has
 * changed: write and flush of the pages, as without deltas, and of the blocks that the lines would
 * fill (64 bytes and 16 for their place); and what the old page costs, which a delta needs:
 * compared with a copy in memory, or read back from the disk first. Medians.
 */
#include "examples/kvserver/kv_map.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <phantom/phantom.h>
#include <phantom/space.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, SIDES = 2, SIZES = 3, VALUE_MOST = 400, DISK_PAGES = 65536, LINE = 64 };

static const unsigned sizes[SIZES] = {1, 16, 256};
static const unsigned strewn[SIZES] = {1, 16, 1000};
static const char *const side_name[SIDES] = {"none", "lz4"};

struct side {
    char path[4096];
    struct phantom_space *space;
    struct kv_map *map;
    uint64_t bytes; /* of the last generation */
    double first_s;
    uint64_t first_bytes, first_pages;
    double *us[SIZES];
    uint64_t total[SIZES];
};

struct bench {
    const char *directory;
    char *text;
    size_t text_bytes;
    uint64_t heap_bytes;
    unsigned commits;
    struct ph_rng rng;
    json_t *json;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_compress: %s\n", what);
    exit(1);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *value, size_t count)
{
    qsort(value, count, sizeof *value, ascending);
    return value[count / 2];
}

/* ---- text ------------------------------------------------------------------------------------ */

static void read_text(struct bench *b, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return;
    }
    for (;;) {
        char *longer = realloc(b->text, b->text_bytes + 65536);
        if (longer == NULL) {
            die("no memory");
        }
        b->text = longer;
        size_t got = fread(b->text + b->text_bytes, 1, 65536, file);
        b->text_bytes += got;
        if (got == 0) {
            break;
        }
    }
    fclose(file);
}

static void read_licences(struct bench *b)
{
    static const char *const names[] = {"Apache-2.0", "Artistic", "BSD",     "GPL-1",   "GPL-2",
                                        "GPL-3",      "LGPL-2",   "MPL-1.1", "MPL-2.0", "GFDL-1.3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "/usr/share/common-licenses/%s", names[i]);
        read_text(b, path);
    }
}

/* ---- heaps ----------------------------------------------------------------------------------- */

static void put(struct side *side, const void *key, size_t key_size, const void *value, size_t size)
{
    if (phantom_space_enter(side->space) != 0 ||
        kv_map_put(side->space, side->map, key, key_size, value, size) != 0) {
        die("the space is full");
    }
    phantom_space_leave(side->space);
}

static void count_word(struct side *side, const char *word, size_t size)
{
    struct kv_value found;
    uint64_t count = 0;
    if (kv_map_get(side->map, word, size, &found) && found.count == sizeof count) {
        memcpy(&count, found.bytes, sizeof count);
    }
    count++;
    put(side, word, size, &count, sizeof count);
}

/* Line `number` of the text, which goes on for ever, and its words. */
static uint64_t put_line(const struct bench *b, struct side *side, uint64_t number, uint64_t at)
{
    const char *line = b->text + at % b->text_bytes;
    const char *end = memchr(line, '\n', b->text_bytes - at % b->text_bytes);
    size_t size = (size_t)((end != NULL ? end : b->text + b->text_bytes) - line);
    char key[32];
    int length = snprintf(key, sizeof key, "line %" PRIu64, number);
    put(side, key, (size_t)length, line, size);
    for (const char *word = line; word < line + size;) {
        size_t letters = 0;
        while (word + letters < line + size && word[letters] > ' ' && letters < 40) {
            letters++;
        }
        if (letters != 0) {
            count_word(side, word, letters);
        }
        word += letters + 1;
    }
    return at + size + 1;
}

/* The same value for both sides: it depends on the number alone. */
static void put_value(const struct bench *b, struct side *side, uint64_t number, uint64_t version,
                      bool random)
{
    uint8_t value[VALUE_MOST];
    struct ph_rng rng;
    ph_rng_init(&rng, number * 1000003 + version);
    size_t size = 100 + ph_rng_below(&rng, VALUE_MOST - 100);
    if (random) {
        for (size_t i = 0; i < size; i++) {
            value[i] = (uint8_t)ph_rng_next(&rng);
        }
    } else {
        memcpy(value, b->text + ph_rng_below(&rng, b->text_bytes - VALUE_MOST), size);
    }
    char key[32];
    int length = snprintf(key, sizeof key, "key %" PRIu64, number);
    put(side, key, (size_t)length, value, size);
}

enum heap { WORDS, VALUES, RANDOM, HEAPS };
static const char *const heap_name[HEAPS] = {"words", "values", "random"};

/* ---- sides ----------------------------------------------------------------------------------- */

static void on_committed(void *context, const struct phantom_generation *generation)
{
    struct side *side = context;
    side->bytes = generation->bytes_written;
    side->first_pages = generation->live_pages;
}

static void side_open(const struct bench *b, struct side *side, unsigned i)
{
    struct phantom_space_options options;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    snprintf(side->path, sizeof side->path, "%s/bench-compress-%ld-%u.phantom", b->directory,
             (long)getpid(), i);
    phantom_space_options_init(&options);
    options.all_stores_announced = true;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    options.gather_us = 1;
    options.compression = side_name[i];
    options.context = side;
    options.committed = on_committed;
    options.retain_bytes = 8 << 20;
    if (phantom_space_open(side->path, &options, &side->space, &diag) != 0) {
        die(diag.text);
    }
    phantom_space_enter(side->space);
    side->map = kv_map_create(side->space);
    if (side->map == NULL) {
        die("the space is full");
    }
    phantom_space_set_root(side->space, "map", side->map);
    phantom_space_leave(side->space);
}

static double commit(struct side *side)
{
    double start = now_s();
    int rc = phantom_space_commit(side->space);
    if (rc != 0) {
        die(phantom_strerror(rc));
    }
    return now_s() - start;
}

static void side_close(struct side *side)
{
    (void)phantom_space_close(side->space);
    (void)unlink(side->path);
    for (unsigned i = 0; i < SIZES; i++) {
        free(side->us[i]);
    }
}

static void run_heap(struct bench *b, enum heap heap)
{
    struct side side[SIDES] = {0};
    uint64_t number = 0, at = 0;
    for (unsigned i = 0; i < SIDES; i++) {
        side_open(b, &side[i], i);
        number = at = 0;
        for (uint64_t bytes = 0; bytes < b->heap_bytes; number++) {
            uint64_t before = at;
            if (heap == WORDS) {
                at = put_line(b, &side[i], number, at);
                bytes += at - before + 80; /* with what the map adds */
            } else {
                put_value(b, &side[i], number, 0, heap == RANDOM);
                bytes += 320;
            }
        }
        side[i].first_s = commit(&side[i]);
        side[i].first_bytes = side[i].bytes;
        for (unsigned k = 0; k < SIZES; k++) {
            side[i].us[k] = calloc(b->commits, sizeof(double));
            if (side[i].us[k] == NULL) {
                die("no memory");
            }
        }
    }
    uint64_t pages = side[0].first_pages;
    for (unsigned k = 0; k < SIZES; k++) {
        for (unsigned c = 0; c < b->commits; c++) {
            struct ph_rng same = b->rng;
            for (unsigned i = 0; i < SIDES; i++) {
                struct ph_rng rng = same;
                for (unsigned n = 0; n < sizes[k]; n++) {
                    uint64_t which = ph_rng_below(&rng, number);
                    if (heap == WORDS) {
                        (void)put_line(b, &side[i], which, which * 61);
                    } else {
                        put_value(b, &side[i], which, c + 1, heap == RANDOM);
                    }
                }
                side[i].us[k][c] = commit(&side[i]) * 1e6;
                side[i].total[k] += side[i].bytes;
                b->rng = rng;
            }
        }
    }
    json_t *rows = json_object();
    for (unsigned i = 0; i < SIDES; i++) {
        double mib = (double)pages * PAGE / (1 << 20);
        printf("%-7s %-5s first commit %6.1f MiB of memory, %6.1f MiB written, %5.0f MiB/s;",
               heap_name[heap], side_name[i], mib, (double)side[i].first_bytes / (1 << 20),
               mib / side[i].first_s);
        json_t *row = json_pack("{s:f, s:f, s:f}", "memory_mib", mib, "first_written_mib",
                                (double)side[i].first_bytes / (1 << 20), "first_mib_s",
                                mib / side[i].first_s);
        for (unsigned k = 0; k < SIZES; k++) {
            double us = median(side[i].us[k], b->commits);
            double kib = (double)side[i].total[k] / b->commits / 1024;
            char name[32];
            printf("  %u: %.0f us %.1f KiB", sizes[k], us, kib);
            snprintf(name, sizeof name, "commit_%u", sizes[k]);
            json_object_set_new(row, name, json_pack("{s:f, s:f}", "median_us", us, "kib", kib));
        }
        printf("\n");
        json_object_set_new(rows, side_name[i], row);
        side_close(&side[i]);
    }
    json_object_set_new(b->json, heap_name[heap], rows);
}

/* ---- deltas ---------------------------------------------------------------------------------- */

static void write_flush(int fd, const void *from, size_t bytes, uint64_t block)
{
    if (pwrite(fd, from, bytes, (off_t)(block * PAGE)) != (ssize_t)bytes || fdatasync(fd) != 0) {
        die(strerror(errno));
    }
}

/* Lines of a page that differ from its old copy. */
static unsigned changed_lines(const uint8_t *page, const uint8_t *old)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PAGE; i += LINE) {
        count += memcmp(page + i, old + i, LINE) != 0;
    }
    return count;
}

struct delta_cost {
    double full, lines, compare, read_back; /* microseconds */
};

static struct delta_cost measure_deltas(struct bench *b, int fd, uint8_t *heap, const uint8_t *old,
                                        uint8_t *out, unsigned pages)
{
    double *us[4];
    size_t bytes = (size_t)pages * PAGE;
    size_t packed = ((size_t)pages * (LINE + 16) + PAGE - 1) / PAGE * PAGE;
    unsigned found = 0;
    for (unsigned i = 0; i < 4; i++) {
        us[i] = calloc(b->commits, sizeof(double));
        if (us[i] == NULL) {
            die("no memory");
        }
    }
    for (unsigned c = 0; c < b->commits; c++) {
        uint32_t which[1000];
        for (unsigned i = 0; i < pages; i++) {
            which[i] = (uint32_t)ph_rng_below(&b->rng, DISK_PAGES);
            heap[(size_t)which[i] * PAGE + LINE * ph_rng_below(&b->rng, PAGE / LINE)] ^= 1;
        }
        uint64_t to = ph_rng_below(&b->rng, DISK_PAGES - 1000);
        double t0 = now_s();
        write_flush(fd, out, bytes, to);
        double t1 = now_s();
        write_flush(fd, out, packed, to);
        double t2 = now_s();
        for (unsigned i = 0; i < pages; i++) {
            found += changed_lines(heap + (size_t)which[i] * PAGE, old + (size_t)which[i] * PAGE);
        }
        double t3 = now_s();
        for (unsigned i = 0; i < pages; i++) {
            if (pread(fd, out, PAGE, (off_t)which[i] * PAGE) != PAGE) {
                die("short read");
            }
        }
        double t4 = now_s();
        us[0][c] = (t1 - t0) * 1e6;
        us[1][c] = (t2 - t1) * 1e6;
        us[2][c] = (t3 - t2) * 1e6;
        us[3][c] = (t4 - t3) * 1e6;
    }
    if (found == 0) {
        die("nothing had changed");
    }
    struct delta_cost cost = {median(us[0], b->commits), median(us[1], b->commits),
                              median(us[2], b->commits), median(us[3], b->commits)};
    for (unsigned i = 0; i < 4; i++) {
        free(us[i]);
    }
    return cost;
}

static void run_deltas(struct bench *b)
{
    char path[4096];
    size_t bytes = (size_t)DISK_PAGES * PAGE;
    snprintf(path, sizeof path, "%s/bench-compress-%ld.lines", b->directory, (long)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
    uint8_t *heap = ph_alloc_aligned(PAGE, bytes), *old = ph_alloc_aligned(PAGE, bytes);
    uint8_t *out = ph_alloc_aligned(PAGE, 1000 * PAGE);
    if (fd < 0 || heap == NULL || old == NULL || out == NULL) {
        die(fd < 0 ? strerror(errno) : "no memory");
    }
    (void)unlink(path);
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = ph_rng_next(&b->rng);
        memcpy(heap + i, &word, 8);
    }
    memcpy(old, heap, bytes);
    memcpy(out, heap, 1000 * PAGE);
    for (size_t at = 0; at < bytes; at += 1 << 20) {
        if (pwrite(fd, heap + at, 1 << 20, (off_t)at) != 1 << 20) {
            die(strerror(errno));
        }
    }
    (void)fdatasync(fd);
    json_t *rows = json_object();
    for (unsigned i = 0; i < SIZES; i++) {
        struct delta_cost cost = measure_deltas(b, fd, heap, old, out, strewn[i]);
        unsigned blocks = (strewn[i] * (LINE + 16) + PAGE - 1) / PAGE;
        printf("lines   %4u pages: write and flush of %u KiB %.0f us, of %u KiB %.0f us; compare "
               "%.0f us, read back one by one %.0f us\n",
               strewn[i], strewn[i] * 4, cost.full, blocks * 4, cost.lines, cost.compare,
               cost.read_back);
        char name[32];
        snprintf(name, sizeof name, "pages_%u", strewn[i]);
        json_object_set_new(rows, name,
                            json_pack("{s:f, s:f, s:f, s:f}", "full_us", cost.full, "lines_us",
                                      cost.lines, "compare_us", cost.compare, "read_back_us",
                                      cost.read_back));
    }
    json_object_set_new(b->json, "lines", rows);
    ph_free(heap);
    ph_free(old);
    ph_free(out);
    close(fd);
}

int main(int argc, char **argv)
{
    struct bench b = {.directory = ".", .heap_bytes = 64 << 20, .commits = 200};
    const char *json_path = NULL;
    int option;
    while ((option = getopt(argc, argv, "d:m:n:j:")) != -1) {
        switch (option) {
        case 'd': b.directory = optarg; break;
        case 'm': b.heap_bytes = strtoull(optarg, NULL, 10) << 20; break;
        case 'n': b.commits = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'j': json_path = optarg; break;
        default: return 2;
        }
    }
    for (int i = optind; i < argc; i++) {
        read_text(&b, argv[i]);
    }
    if (b.text_bytes < 2 * VALUE_MOST) {
        read_licences(&b);
    }
    if (b.text_bytes < 2 * VALUE_MOST || b.heap_bytes == 0 || b.commits == 0) {
        die("no text, no heap or no commits");
    }
    ph_rng_init(&b.rng, 20261205);
    b.json = json_object();
    for (unsigned heap = 0; heap < HEAPS; heap++) {
        run_heap(&b, heap);
    }
    run_deltas(&b);
    int bad = json_path != NULL && json_dump_file(b.json, json_path, JSON_INDENT(2)) != 0;
    json_decref(b.json);
    free(b.text);
    return bad;
}
