/*
 * Postcopy, as the rest of migration/ uses it: the switch on the source, and the
 * commands, the page placing and the report on the destination.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_H
#define FERRY_MIGRATION_POSTCOPY_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/carry/file.h"
#include "migration/channel.h"
#include "migration/migration-int.h"
#include "migration/ram.h"

/*
 * What the kernel may hold of the main stream while pages are asked for one by one: an
 * urgent page waits until the destination has read so much.
 */
#define POSTCOPY_SOCKET_BUFFER (64 * 1024)
/*
 * Of the return direction: the thread that reads pages also asks for them, and must not wait for a
 * source that waits for it.  Holds a request of each thread of the largest guest, several times.
 */
#define POSTCOPY_REQUEST_BUFFER (1024 * 1024)

/* ======== support.c: any thread ======== */

/*
 * Can this host receive by postcopy: userfaultfd, and its features for the kinds of
 * memory that the RAM blocks are made of?  False with the reason in words.
 */
bool postcopy_supported_by_host(Error **errp);
/* Bitwise OR of the page sizes of all migratable blocks: what ADVISE carries. */
uint64_t postcopy_page_size_summary(void);

/* ======== switch.c: source ======== */

/* The payload of POSTCOPY_ADVISE goes out: migration thread, after PING 1. */
void postcopy_source_advise(Migration *m, Stream *s);
/*
 * Switch to postcopy.  Migration thread, without the machine lock; the machine is
 * stopped, the state is `device`, ram_dirty_sync() was called after the stop (the dirty
 * log is never synced again).  Sends END of what cannot be postcopied, discards, PING 2,
 * PACKAGED, PING 4; the state becomes postcopy-device just before the package goes
 * out, and postcopy-active when PONG 0x42 comes back.
 *
 * False: the caller restarts the guest if postcopy_source_take_back().
 */
bool postcopy_switch(Migration *m, Error **errp);
/* The destination said SHUT(0): it must have said that the guest runs there as well. */
bool postcopy_source_confirmed(Migration *m, Error **errp);
/*
 * The migration failed while the destination loads the devices: before anything is decided, hear
 * what it said before that, for a while.  Else nothing.  Migration thread.
 */
void postcopy_source_hear_out(Migration *m);
/*
 * The migration failed.  True: the guest is (still) ours, and the state is failing (or
 * cancelling, if it was that).  False: the destination has it, or may have it: the whole package
 * is sent, and the destination has not said that it failed.
 */
bool postcopy_source_take_back(Migration *m);
/* Return-path thread: a PONG came. */
void postcopy_source_pong(Migration *m, uint32_t cookie);

/* ======== recover-source.c: migration thread ======== */

/*
 * The connection of a postcopy broke (err, consumed, says how).  Pauses; returns true when
 * `migrate resume` has led to a new one and the destination has acknowledged it: then m->out is
 * a new stream and what is to be sent is known.  False: the process goes down.
 */
bool postcopy_source_recover(Migration *m, Error *err);

/* ======== dest.c: destination ======== */

/* The commands.  Incoming thread (inside a PACKAGED blob for LISTEN and RUN). */
bool postcopy_dest_advise(Migration *m, const uint8_t *payload, size_t len, Error **errp);
bool postcopy_dest_discard(Migration *m, const uint8_t *payload, size_t len, Error **errp);
bool postcopy_dest_listen(Migration *m, Error **errp);
bool postcopy_dest_promise(Migration *m, Error **errp); /* before PONG 0x42 */
bool postcopy_dest_run(Migration *m, Error **errp);

/* True from LISTEN on: ram_load() hands pages to place.h.  Any thread. */
bool postcopy_dest_placing(const Migration *m);
/* True from RUN on: the guest lives here, a failure must not end the process. Any thread. */
bool postcopy_dest_running(const Migration *m);

/* ======== recover-dest.c: destination ======== */

/* The commands.  Listen thread. */
bool postcopy_dest_recv_bitmap(Migration *m, const uint8_t *payload, size_t len, Error **errp);
bool postcopy_dest_resume(Migration *m, Error **errp);
/*
 * migrate-recover: the source may connect to addr; m is paused.  Replaces an address given
 * before.  Any thread, no machine lock.
 */
bool postcopy_dest_recover(Migration *m, const MigrateAddress *addr, Error **errp);
/*
 * migrate-recover with a file (taken over): m, which is paused, reads it.  The same; replaces an address
 * or a file given before.
 */
void postcopy_dest_feed(Migration *m, CarryFile *file);
/* Where the source may connect to again, NULL: nowhere.  Any thread; the caller frees it. */
SocketAddress *postcopy_dest_listening(Migration *m);
/* A paused listen thread looks at its conditions again.  Any thread. */
void postcopy_dest_wake(Migration *m);

/* ======== dest.c, continued ======== */

/*
 * The incoming thread ended (it returned from LOAD_QUIT, or failed with err, which is
 * consumed).  When a listen thread exists, it is that one which calls dst_finish():
 * returns true.  False: no listen thread, err was not consumed.
 */
bool postcopy_dest_main_done(Migration *m, Error *err);

/* Ends the fault and listen threads (channels are shut down already) and frees.  NULL is fine. */
void postcopy_dest_free(PostcopyDest *pd);

/* postcopy-blocktime and its companions, once completed: adds members to the object. */
void postcopy_dest_query(Migration *m, JsonBuilder *b);

#endif
