/*
 * Files that carry the rest of a postcopy, on the disk: one that is read, checked whole before
 * anything of it is used, and one that gets its name when it is complete.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CARRY_FILE_H
#define FERRY_MIGRATION_CARRY_FILE_H

#include "migration/carry/format.h"
#include "migration/channel.h"

/* A file: address without an offset; other addresses are refused by name.  Any thread. */
bool carry_check_address(const MigrateAddress *a, Error **errp);

/* ---- reading; one thread at a time ---- */

typedef struct CarryFile CarryFile;
/*
 * Open and check header and tables: it is g's (taken over).  A file that is cut off behind its
 * tables is let in: what it lacks is found when it is read.  Any thread; does IO.
 */
CarryFile *carry_file_open(const MigrateAddress *a, CarryKind kind, CarryGuest *g, Error **errp);
void carry_file_free(CarryFile *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CarryFile, carry_file_free)
const char *carry_file_name(const CarryFile *f);
const CarryGuest *carry_file_guest(const CarryFile *f);
const CarryHead *carry_file_head(const CarryFile *f);
/* Chunk i of head's n_chunks. */
CarryChunk carry_file_chunk(const CarryFile *f, uint64_t i);
/* Which chunk is this one of a block?  False: it is not in the file. */
bool carry_file_find(const CarryFile *f, uint32_t block, uint32_t index, uint64_t *ret_i);
/*
 * The pages of chunk c, each to its place in ret_pages (CARRY_CHUNK_BYTES; zeros are written, what
 * is not present is left alone).  False: they cannot be read or their digest is wrong.
 */
bool carry_file_read(const CarryFile *f, const CarryChunk *c, uint8_t *ret_pages, Error **errp);
/* Received: the map of block i, carry_bitmap_bytes() long, little-endian words. */
const uint8_t *carry_file_bitmap(const CarryFile *f, unsigned i);

/* ---- writing; one thread at a time ---- */

typedef struct CarryOut CarryOut;
/*
 * Written under the name + ".part" (a set of descriptors: in place), private to the user.
 * Replaces what a broken attempt left.
 */
CarryOut *carry_out_open(const MigrateAddress *a, Error **errp);
/* iov is changed. */
bool carry_out_write(CarryOut *o, struct iovec *iov, unsigned n, uint64_t offset, Error **errp);
/* Header and tables go to the front; then it is on the disk and has its name. */
bool carry_out_commit(CarryOut *o, const CarryHead *h, const GByteArray *tables, Error **errp);
/* What was not committed is removed.  NULL is fine. */
void carry_out_free(CarryOut *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CarryOut, carry_out_free)

#endif
