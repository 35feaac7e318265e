/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the K most frequent words with their counts, the most frequent first and equally frequent ones in
 * the order of their bytes, of the files named or of all files in /logs. A word is a run of bytes without
 * white space.
 *
 *   clang-19 --target=wasm32-wasi -O2 -s -o top_words.wasm top_words.c logs.c
 *   berth run --dir /var/log::/logs top_words.wasm 10
 *
 * Every different word is kept, once, in a hash table with open addressing; a log with too many of them ends
 * at the memory limit of the contract, not at one of ours.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logs.h"

enum { BUFFER_SIZE = 64 * 1024, FIRST_SLOTS = 4096 };

struct word {
    char *bytes; /* NULL: an empty slot */
    size_t length;
    uint64_t hash, count;
};

struct words {
    struct word *slots;
    size_t n_slots, used; /* n_slots is a power of two; at most three of four slots are used */
    char *pending;        /* the word that is being read */
    size_t pending_length, pending_capacity;
    bool read_failed;
};

static void out_of_memory(void)
{
    fprintf(stderr, "top_words: too many different words for the memory there is\n");
    exit(2);
}

/* FNV-1a: short, and good enough for words. */
static uint64_t hash_of(const char *bytes, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return hash ^ hash >> 32;
}

static struct word *slot_of(struct words *words, uint64_t hash, const char *bytes, size_t length)
{
    size_t mask = words->n_slots - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct word *slot = &words->slots[i];
        if (!slot->bytes ||
            (slot->hash == hash && slot->length == length && memcmp(slot->bytes, bytes, length) == 0))
            return slot;
    }
}

static void words_grow(struct words *words)
{
    struct words larger = {.n_slots = words->n_slots ? 2 * words->n_slots : FIRST_SLOTS};
    larger.slots = calloc(larger.n_slots, sizeof(*larger.slots));
    if (!larger.slots)
        out_of_memory();
    for (size_t i = 0; i < words->n_slots; i++) {
        struct word *word = &words->slots[i];
        if (word->bytes)
            *slot_of(&larger, word->hash, word->bytes, word->length) = *word;
    }
    free(words->slots);
    words->slots = larger.slots;
    words->n_slots = larger.n_slots;
}

static void words_count(struct words *words, const char *bytes, size_t length)
{
    if (4 * (words->used + 1) > 3 * words->n_slots)
        words_grow(words);
    uint64_t hash = hash_of(bytes, length);
    struct word *word = slot_of(words, hash, bytes, length);
    if (!word->bytes) {
        word->bytes = malloc(length);
        if (!word->bytes)
            out_of_memory();
        memcpy(word->bytes, bytes, length);
        word->length = length;
        word->hash = hash;
        words->used++;
    }
    word->count++;
}

/* A part of a word, at the end of what was read. */
static void pending_add(struct words *words, const char *bytes, size_t length)
{
    if (length > words->pending_capacity - words->pending_length) {
        size_t capacity = 2 * (words->pending_length + length);
        char *pending = realloc(words->pending, capacity);
        if (!pending)
            out_of_memory();
        words->pending = pending;
        words->pending_capacity = capacity;
    }
    if (length > 0)
        memcpy(words->pending + words->pending_length, bytes, length);
    words->pending_length += length;
}

static void pending_count(struct words *words)
{
    if (words->pending_length > 0)
        words_count(words, words->pending, words->pending_length);
    words->pending_length = 0;
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void count_bytes(struct words *words, const char *at, const char *end)
{
    while (at < end) {
        const char *start = at;
        while (at < end && !is_space(*at))
            at++;
        if (at == end || words->pending_length > 0)
            pending_add(words, start, (size_t)(at - start));
        else if (at > start)
            words_count(words, start, (size_t)(at - start));
        if (at < end)
            pending_count(words);
        while (at < end && is_space(*at))
            at++;
    }
}

static int count_file(void *payload, int descriptor, const char *path)
{
    static char buffer[BUFFER_SIZE];
    struct words *words = payload;
    ssize_t size;
    while ((size = read(descriptor, buffer, sizeof(buffer))) != 0) {
        if (size < 0 && errno != EINTR) {
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
            words->read_failed = true;
            break;
        }
        if (size > 0)
            count_bytes(words, buffer, buffer + size);
    }
    pending_count(words);
    return 0;
}

static int more_frequent(const void *left, const void *right)
{
    const struct word *a = left, *b = right;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static void words_print(struct words *words, size_t k)
{
    size_t n = 0;
    for (size_t i = 0; i < words->n_slots; i++)
        if (words->slots[i].bytes)
            words->slots[n++] = words->slots[i];
    if (n > 0)
        qsort(words->slots, n, sizeof(*words->slots), more_frequent);
    for (size_t i = 0; i < n && i < k; i++) {
        printf("%7" PRIu64 " ", words->slots[i].count);
        fwrite(words->slots[i].bytes, 1, words->slots[i].length, stdout);
        putchar('\n');
    }
}

int main(int argc, char **argv)
{
    char *rest = NULL;
    unsigned long k = argc > 1 ? strtoul(argv[1], &rest, 10) : 0;
    if (k == 0 || *rest) {
        fprintf(stderr, "usage: top_words K [FILE…]\n");
        return 2;
    }
    struct words words = {0};
    int unreadable = logs_each(argv + 2, (size_t)(argc - 2), count_file, &words);
    words_print(&words, k);
    return fflush(stdout) != 0 || unreadable != 0 || words.read_failed ? 2 : 0;
}
