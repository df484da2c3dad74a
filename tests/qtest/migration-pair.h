/*
 * Two machines "none" with known memory, for tests of migration: either may be another
 * emulator.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_MIGRATION_PAIR_H
#define FERRY_TESTS_MIGRATION_PAIR_H

#include "libqtest.h"

#define PAIR_PAGE 4096ULL
#define PAIR_MIB 32
#define PAIR_PAGES (PAIR_MIB * 1024 * 1024 / PAIR_PAGE)

typedef struct Pair {
    QTestState *from, *to;
    char *uri;              /* that `to` will listen on */
    unsigned reads;         /* pages that pair_read_and_finish() looks at twice over */
} Pair;

/* Capability on / wait for the event MIGRATION with this status (not behind a failure). */
void migration_set_cap(QTestState *s, const char *name);
void migration_wait_status(QTestState *s, const char *status);

/*
 * Start both, with more arguments; memory of `from` is filled; postcopy-ram and events are
 * on, precopy is too slow to end by itself, the background of postcopy nearly stands still.
 */
Pair pair_new(const char *from_args, const char *to_args);
/*
 * The same with other programs; NULL: Ferry.  Another source has its memory in a backend
 * called "m", so the destination must have one of that name.
 */
Pair pair_new_with(const char *from_program, const char *from_args, const char *to_program,
                   const char *to_args);
void pair_free(Pair *p);

/* Bytes/s of pages that nobody asked for; 0: no limit. */
void pair_set_background(Pair *p, int bytes_per_second);
/* Start; returns when precopy runs. */
void pair_start(Pair *p);
/* Switch; returns when the destination runs. */
void pair_to_postcopy(Pair *p);
/*
 * Read pages on the destination that are still at the source (they must be requested), then
 * let it complete and compare all.
 */
void pair_read_and_finish(Pair *p);
/* All of that, and pair_free(). */
void pair_run(Pair *p);

/* The two ends of a socket pair, handed over to both under this name (getfd). */
void pair_give_fds(Pair *p, const char *name);
int64_t pair_requests(Pair *p); /* postcopy-requests of the source */
/* Put that into the memory of a machine "none" of PAIR_MIB. */
void pair_fill(QTestState *s);
/* A page of either holds what the source was filled with / all do. */
void pair_check_page(QTestState *s, uint64_t page);
void pair_check_all(QTestState *s);

#endif
