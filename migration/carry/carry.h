/*
 * Putting the halves of a paused postcopy together without a network (docs/user/carry.md).
 *
 *   source                                        destination
 *   ATTEMPT in PINGs of the greeting         ->   ATTEMPT_TAKEN in its PONGs
 *   ------ both postcopy-paused --------------------------------------------------
 *                                                 x-migrate-save-received: what it has (optional)
 *   x-migrate-load-received                  <~
 *   migrate resume file:   the rest
 *                                            ~>   migrate-recover file: -> completed, a receipt
 *   x-migrate-release RECEIPT -> completed   <~
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CARRY_H
#define FERRY_MIGRATION_CARRY_H

#include "migration/carry/file.h"
#include "migration/migration-int.h"
#include "qapi/qapi-types.h"

/* ======== attempt.c: the identity of a migration ======== */

/* Make one up and tell the destination.  Migration thread, behind POSTCOPY_ADVISE. */
void carry_attempt_send(Migration *m);
/* A PONG came: has a part of it been taken?  Return-path thread. */
void carry_attempt_pong(Migration *m, uint32_t cookie);
/* A PING came outside of a package: what is to be answered?  Incoming, listen thread. */
uint32_t carry_attempt_ping(Migration *m, uint32_t cookie);
/* Do both sides know it?  Else errp says why files cannot be used.  Any thread, in postcopy. */
bool carry_attempt_known(const Migration *m, Error **errp);
/* With the blocks of m's guest, as they are in this process.  Any thread, in postcopy. */
CarryGuest *carry_guest_of(Migration *m, Error **errp);

/* ======== report.c: what query-migrate says, any thread ======== */

/* A file is being worked on / so many pages more are done / it is over. */
void carry_report_start(Migration *m, const char *filename);
void carry_report_total(Migration *m, uint64_t pages, uint64_t bytes);
void carry_report_pages(Migration *m, uint64_t pages);
void carry_report_end(Migration *m, bool good);
/* NULL: there was none. */
MigrationCarry *carry_report_get(Migration *m);
/* The destination of a postcopy that has completed: proof for the source.  Else NULL. */
char *carry_receipt_of(Migration *m, bool completed);

/* ======== qmp.c ======== */

/* migrate-recover with a file.  Any thread, the machine lock need not be held. */
bool carry_feed(const MigrateAddress *a, Error **errp);

/* ======== save.c: source ======== */

/* At the switch: what is to be sent from now on is what the destination may lack.  Migration thread. */
void carry_note_owed(RamSource *r);
/*
 * Write everything that the destination may lack to m's file.  Migration thread, while the state
 * is postcopy-recover-setup.  On failure there is no file.
 */
bool carry_save(Migration *m, Error **errp);
/* The destination has what f, a received map, says.  Machine lock; m is paused. */
void carry_take_received(Migration *m, const CarryFile *f);
/* Was m ended by x-migrate-release?  Migration thread. */
bool carry_released(const Migration *m);

/* ======== load.c: destination, listen thread ======== */

/*
 * Put what f has and memory lacks in place, pages that somebody waits for first.  False: something of f
 * could not be used, and errp says what was the first.
 */
bool carry_load(PostcopyDest *pd, const CarryFile *f, Error **errp);
/* A map of what pd has received, ready to be written.  Any thread. */
GByteArray *carry_received_tables(Migration *m, const CarryGuest *g, uint64_t *ret_pages);

#endif
