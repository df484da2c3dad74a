/*
 * x-verify: does the destination have, byte for byte, what the source sent?
 *
 *   source                                   destination
 *   PING VERIFY                         ->   knows it: PONG VERIFY_KNOWN; others: PONG VERIFY
 *   each page that goes out: its digest
 *                                            LISTEN: digests of the pages that are there;
 *                                            then of each page as it is put in place
 *   PACKAGED devices (precopy, too)     ->   digest of the package
 *   FERRY_VERIFY BEGIN, PAGES..., END   ->   compares; precopy: with the memory itself
 *                                       <-   PONG VERIFY_GOOD or VERIFY_BAD
 *   EOF
 *
 * The digest of a page on the source is that of its last sending: a page that changes
 * afterwards is sent again.  A stock peer never sees more than the PING.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_VERIFY_H
#define FERRY_MIGRATION_VERIFY_H

#include "migration-int.h"
#include "qapi/qapi-types.h"
#include "system/ramblock.h"

typedef struct Verify Verify;

/* ---- verify.c: digests; any thread ---- */

/* XXH3 of 64 bits; of a page of zeros the second one. */
uint64_t verify_digest(const void *data, size_t len);
uint64_t verify_digest_zero(void);
/*
 * Of n pages of the block as they are in memory now, into digests[0..n).  Pages that nobody has
 * touched are not touched either.
 */
void verify_hash_pages(const RAMBlock *rb, uint64_t page, uint64_t n, uint64_t *digests);

/* ---- both sides ---- */

/* NULL is fine. */
void verify_free(Verify *v);
/* What query-migrate shows (the caller frees it); NULL: x-verify plays no part.  Any thread. */
MigrationVerify *verify_query(const Migration *m);

/* ---- verify-source.c: migration thread ---- */

/*
 * With the capability: ask the destination, and be ready to note digests if it knows them; else
 * warn.  False: it does not answer at all.  m->ram is there, no page was sent.
 */
bool verify_source_ask(Migration *m, Error **errp);
/* Are there digests to be noted and compared? */
bool verify_source_on(const Migration *m);
/* The state of the devices, as it goes out. */
void verify_source_devices(Migration *m, const void *data, size_t len);
/* Everything was sent but EOF: the digests of it. */
void verify_source_send(Migration *m, Stream *s);
/* Return-path thread: what the destination found. */
void verify_source_pong(Migration *m, uint32_t cookie);

/* ---- verify-dest.c ---- */

/* PING VERIFY: digests will come.  Incoming thread. */
void verify_dest_asked(Migration *m);
/* The devices' package, whole.  Incoming thread, before it is loaded. */
void verify_dest_devices(Migration *m, const void *data, size_t len);
/* LISTEN, before anything runs here: digests of what has come.  Incoming thread. */
void verify_dest_listen(Migration *m);
/* The command FERRY_VERIFY.  False in precopy when something differs. */
bool verify_dest_command(Migration *m, const uint8_t *payload, size_t len, Error **errp);
/* EOF.  False in precopy when the digests that were announced have not come. */
bool verify_dest_end(Migration *m, Error **errp);

/* Private to verify*.c */

struct Verify {
    GMutex lock;
    MigrationVerifyStatus status; /* [lock] as the next five */
    uint64_t pages;               /* compared */
    uint64_t bad_pages;
    char *block;                  /* of the first bad page; NULL: none */
    uint64_t offset;
    bool device_differs;
    uint64_t device;              /* digest; source: [m]; destination: incoming thread, before LISTEN */
    bool device_known;
    bool on;                      /* [c] digests are exchanged */
    bool begun, ended;            /* destination: [i] */
};

Verify *verify_new(MigrationVerifyStatus status);

/* Payload of FERRY_VERIFY: its first byte, and what follows. */
enum {
    VERIFY_BEGIN, /* u8 digest (1: XXH3, 64 bits), u64 of the devices */
    VERIFY_PAGES, /* str8 block, u64 first page, then u64 each */
    VERIFY_END,   /* nothing */
};
#define VERIFY_XXH3 1
/* What Ferry puts into one command. */
#define VERIFY_PAGES_MAX 4096

#endif
