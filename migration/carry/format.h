/*
 * The two files by which the halves of a paused postcopy are put together without a network:
 * the rest (source to destination: pages) and the received map (destination to source).  Layout,
 * encoding, checking; no IO.  docs/wire-format.md has the tables.
 *
 *   header    CARRY_HEADER_LEN bytes: whose file it is, sizes, digests of itself and of the tables
 *   tables    str8 machine; a block each: str8 name, u64 length, u32 host page size;
 *             rest:     an entry of CARRY_CHUNK_LEN bytes for each chunk, ascending
 *             received: the bitmap of each block, as in RECV_BITMAP
 *   pages     from a multiple of a page on: rest: of each chunk in turn the pages that are not zero;
 *             received: none
 *
 * A chunk is 64 target pages of a block, one word of its bitmap, and has a digest of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CARRY_FORMAT_H
#define FERRY_MIGRATION_CARRY_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/error.h"

#define CARRY_VERSION 1
#define CARRY_HEADER_LEN 160
#define CARRY_CHUNK_LEN 64
#define CARRY_CHUNK_PAGES 64U
#define CARRY_CHUNK_BYTES (CARRY_CHUNK_PAGES * 4096UL)
#define CARRY_DIGEST_LEN 32 /* SHA-256 */
#define CARRY_ATTEMPT_LEN 12

typedef enum CarryKind { CARRY_REST = 1, CARRY_RECEIVED = 2 } CarryKind;

typedef struct CarryBlock {
    char *name;
    uint64_t length;    /* bytes */
    uint32_t page_size; /* of the host */
} CarryBlock;

/* Whose file it is: a guest, in one attempt to migrate it.  Owns what it points to. */
typedef struct CarryGuest {
    uint8_t attempt[CARRY_ATTEMPT_LEN];
    uint8_t uuid[16]; /* all zero: none */
    char *machine;    /* type */
    CarryBlock *blocks;
    unsigned n_blocks;
} CarryGuest;

CarryGuest *carry_guest_new(const uint8_t attempt[CARRY_ATTEMPT_LEN], const uint8_t uuid[16],
                            const char *machine, unsigned n_blocks);
/* Block i, of those that were counted. */
void carry_guest_set_block(CarryGuest *g, unsigned i, const char *name, uint64_t length,
                           uint32_t page_size);
void carry_guest_free(CarryGuest *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CarryGuest, carry_guest_free)
/* Chunks of all blocks together / of a block of so many bytes. */
uint64_t carry_guest_chunks(const CarryGuest *g);
uint64_t carry_chunks(uint64_t length);

typedef struct CarryHead {
    CarryKind kind;
    uint8_t attempt[CARRY_ATTEMPT_LEN], uuid[16];
    uint32_t n_blocks;
    uint64_t n_chunks;   /* rest; else 0 */
    uint64_t pages;      /* in the file, those of zeros counted / received */
    uint64_t tables_len, pages_at, file_len; /* bytes */
    uint8_t tables_digest[CARRY_DIGEST_LEN];
} CarryHead;

typedef struct CarryChunk {
    uint32_t block;   /* index in the table of blocks */
    uint32_t index;   /* in the block */
    uint64_t present; /* bit = page of the chunk that is in the file ... */
    uint64_t zero;    /* ... and which of these are zeros: those have no bytes */
    uint64_t offset;  /* of its first byte in the file */
    uint8_t digest[CARRY_DIGEST_LEN]; /* of its bytes */
} CarryChunk;

/* ---- writing ---- */

/* Header for g's file of this kind; sizes and digest are still to be filled in. */
CarryHead carry_head_for(const CarryGuest *g, CarryKind kind);
/* Length and digest of the tables, whole now, and with them where the pages begin. */
void carry_head_set_tables(CarryHead *h, const GByteArray *tables);
void carry_head_encode(uint8_t ret_buf[CARRY_HEADER_LEN], const CarryHead *h);
/* Machine and blocks: the begin of the tables. */
GByteArray *carry_tables_new(const CarryGuest *g);
void carry_chunk_encode(uint8_t ret_buf[CARRY_CHUNK_LEN], const CarryChunk *c);
/* SHA-256 of the pieces one behind the other. */
void carry_digest(const struct iovec *iov, size_t n, uint8_t ret_digest[CARRY_DIGEST_LEN]);

/* ---- reading: everything is checked against g, the guest that the file is for ---- */

/* It is g's, of this kind, and not damaged.  Sizes are possible for g, so they may be allocated. */
bool carry_head_check(const uint8_t buf[CARRY_HEADER_LEN], const CarryGuest *g, CarryKind kind,
                      CarryHead *ret, Error **errp);
/*
 * Tables of h->tables_len bytes: machine and blocks are g's, and so are the chunks or bitmaps.
 * *ret_rest is where those begin.
 */
bool carry_tables_check(const uint8_t *tables, const CarryHead *h, const CarryGuest *g,
                        const uint8_t **ret_rest, Error **errp);
CarryChunk carry_chunk_decode(const uint8_t buf[CARRY_CHUNK_LEN]);
/* Bytes of a block's bitmap in a received map. */
uint64_t carry_bitmap_bytes(const CarryBlock *b);

/*
 * What proves that g's destination has everything: 16 hexadecimal digits (g_free), which whoever
 * does not know the attempt cannot guess by chance.
 */
char *carry_receipt(const uint8_t attempt[CARRY_ATTEMPT_LEN]);

#endif
