/* SPDX-License-Identifier: Apache-2.0
 *
 * wordcount.c - an index of the words of text files that survives being killed.
 *
 *     wordcount STORE FILE...     count; say "at FILE OFFSET" after each commit; go on where a
 *                                 killed run stopped; at the end print "COUNT WORD" lines, sorted
 *     wordcount STORE --where WORD   print the positions of a word: FILE:OFFSET
 *
 * A word is a run of ASCII letters. The index is an ordinary hash table with ordinary pointers, in
 * a space. What has been read of the files is in the space, too, and is changed in the same
 * operation as the counts: so no line is counted twice and none is left out, wherever the program
 * is killed.
 */
#include <phantom/space.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 256, LINES_A_COMMIT = 50, POSITIONS_A_PIECE = 6 };

/* ---- what is in the space ----------------------------------------------------------------------
 */

struct positions { /* newest first */
    struct positions *older;
    uint32_t used;
    struct {
        uint32_t file;
        uint64_t offset;
    } at[POSITIONS_A_PIECE];
};

struct word {
    struct word *next; /* in its bucket */
    struct positions *positions;
    uint64_t count;
    char text[]; /* terminated */
};

struct word_index {
    struct word **bucket;
    uint64_t bucket_count, words;
    uint32_t file;   /* being read */
    uint64_t offset; /* in it: everything before is counted */
};

static struct phantom_space *space;

static void *must(void *block)
{
    if (block == NULL) {
        fprintf(stderr, "wordcount: the space is full\n");
        exit(1);
    }
    return block;
}

static uint64_t hash(const char *text, size_t length)
{
    uint64_t sum = 14695981039346656037U;
    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ (unsigned char)text[i]) * 1099511628211U;
    }
    return sum;
}

static void grow(struct word_index *words)
{
    uint64_t count = words->bucket_count * 2;
    struct word **bucket = must(phantom_space_calloc(space, count, sizeof(*bucket)));
    for (uint64_t i = 0; i < words->bucket_count; i++) {
        for (struct word *word = words->bucket[i], *next; word != NULL; word = next) {
            uint64_t to = hash(word->text, strlen(word->text)) % count;
            next = word->next;
            word->next = bucket[to];
            bucket[to] = word;
        }
    }
    phantom_space_free(space, words->bucket);
    words->bucket = bucket;
    words->bucket_count = count;
}

static struct word *find(const struct word_index *words, const char *text, size_t length)
{
    struct word *word = words->bucket[hash(text, length) % words->bucket_count];
    while (word != NULL && (strncmp(word->text, text, length) != 0 || word->text[length] != '\0')) {
        word = word->next;
    }
    return word;
}

static struct word *add(struct word_index *words, const char *text, size_t length)
{
    if (words->words >= words->bucket_count) {
        grow(words);
    }
    struct word *word = must(phantom_space_calloc(space, 1, sizeof(*word) + length + 1));
    memcpy(word->text, text, length);
    struct word **bucket = &words->bucket[hash(text, length) % words->bucket_count];
    word->next = *bucket;
    *bucket = word;
    words->words++;
    return word;
}

static void count(struct word_index *words, const char *text, size_t length, uint64_t offset)
{
    struct word *word = find(words, text, length);
    if (word == NULL) {
        word = add(words, text, length);
    }
    word->count++;
    struct positions *piece = word->positions;
    if (piece == NULL || piece->used == POSITIONS_A_PIECE) {
        piece = must(phantom_space_calloc(space, 1, sizeof(*piece)));
        piece->older = word->positions;
        word->positions = piece;
    }
    piece->at[piece->used].file = words->file;
    piece->at[piece->used].offset = offset;
    piece->used++;
}

static void count_line(struct word_index *words, const char *line, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t end = i;
        while (end < length && isascii((unsigned char)line[end]) &&
               isalpha((unsigned char)line[end])) {
            end++;
        }
        if (end > i) {
            count(words, line + i, end - i, words->offset + i);
        }
        i = end > i ? end : i + 1;
    }
}

/* ---- reading files ------------------------------------------------------------------------------
 */

static void commit(const struct word_index *words)
{
    int rc = phantom_space_commit(space);
    if (rc != 0) {
        fprintf(stderr, "wordcount: not saved: %s\n", phantom_strerror(rc));
        exit(1);
    }
    printf("at %u %llu\n", words->file, (unsigned long long)words->offset);
    fflush(stdout);
}

/** Count the rest of a file, line by line: a line and the place after it are one operation. */
static void read_file(struct word_index *words, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, (long)words->offset, SEEK_SET) != 0) {
        perror(path);
        exit(1);
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    for (unsigned lines = 1; (length = getline(&line, &room, file)) > 0; lines++) {
        phantom_space_enter(space);
        count_line(words, line, (size_t)length);
        words->offset += (uint64_t)length;
        phantom_space_leave(space);
        if (lines % LINES_A_COMMIT == 0) {
            commit(words);
        }
    }
    free(line);
    fclose(file);
    phantom_space_enter(space);
    words->file++;
    words->offset = 0;
    phantom_space_leave(space);
    commit(words);
}

/* ---- output ---------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp((*(struct word *const *)a)->text, (*(struct word *const *)b)->text);
}

static void print_all(const struct word_index *words)
{
    struct word **sorted = malloc((words->words + 1) * sizeof(*sorted));
    uint64_t used = 0;
    for (uint64_t i = 0; sorted != NULL && i < words->bucket_count; i++) {
        for (struct word *word = words->bucket[i]; word != NULL; word = word->next) {
            sorted[used++] = word;
        }
    }
    if (used != 0) {
        qsort(sorted, used, sizeof(struct word *), by_text);
    }
    for (uint64_t i = 0; i < used; i++) {
        printf("%llu %s\n", (unsigned long long)sorted[i]->count, sorted[i]->text);
    }
    free(sorted);
}

static void print_positions(const struct word_index *words, const char *text)
{
    const struct word *word = find(words, text, strlen(text));
    const struct positions *piece = word != NULL ? word->positions : NULL;
    for (; piece != NULL; piece = piece->older) {
        for (uint32_t i = piece->used; i > 0; i--) {
            printf("%u:%llu\n", piece->at[i - 1].file, (unsigned long long)piece->at[i - 1].offset);
        }
    }
}

static struct word_index *open_index(const char *path)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_space_options options;
    phantom_space_options_init(&options);
    options.heap_size = (uint64_t)1 << 30;
    if (phantom_space_open(path, &options, &space, &diag) != 0) {
        fprintf(stderr, "wordcount: %s\n", diag.text);
        exit(1);
    }
    struct word_index *words = phantom_space_root(space, "words");
    if (words == NULL) {
        phantom_space_enter(space);
        words = must(phantom_space_calloc(space, 1, sizeof(*words)));
        words->bucket_count = FIRST_BUCKETS;
        words->bucket = must(phantom_space_calloc(space, FIRST_BUCKETS, sizeof(*words->bucket)));
        if (phantom_space_set_root(space, "words", words) != 0) {
            exit(1);
        }
        phantom_space_leave(space);
    }
    return words;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: wordcount STORE FILE... | wordcount STORE --where WORD\n");
        return 2;
    }
    struct word_index *words = open_index(argv[1]);
    if (strcmp(argv[2], "--where") == 0 && argc == 4) {
        print_positions(words, argv[3]);
    } else {
        while (words->file < (uint32_t)argc - 2) {
            read_file(words, argv[2 + words->file]);
        }
        print_all(words);
    }
    return phantom_space_close(space) == 0 ? 0 : 1;
}
