/*
 * Machines with the running test guest, and moves of it from one to the other over every
 * kind of channel.  On libqtest; every function asserts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_MIGRATION_HELPERS_H
#define FERRY_TESTS_MIGRATION_HELPERS_H

#include "guest.h"
#include "libqtest.h"

#define GUEST_TIMEOUT 60 /* seconds, for what the guest does */

typedef struct GuestConfig {
    const char *accel;   /* "kvm" or "interp" */
    const char *machine; /* NULL: q35 */
    unsigned mib;        /* 0: 32 under KVM, 24 under the software CPU */
    unsigned cpus;       /* 0: 1 */
    uint64_t interval;   /* TSC ticks between visits */
    const char *args;    /* more arguments, NULL: none */
    const char *memory;  /* option of memory, NULL: "-m <mib>M" */
} GuestConfig;

typedef struct GuestVm {
    QTestState *s;
    char *dir;
    GuestParams params;
    int serial;
    GString *printed; /* by the guest, not used yet */
    GString *events;  /* since the last migration began: "setup active STOP ..." */
} GuestVm;

typedef enum MigChannel {
    MIG_UNIX,
    MIG_TCP,
    MIG_FD,        /* a name of getfd */
    MIG_FD_NUMBER, /* a descriptor that the destination inherited */
    MIG_EXEC,
    MIG_EXEC_TWO_WAY, /* the commands carry bytes both ways */
    MIG_FILE,
    MIG_CHANNELS,
} MigChannel;

/* True without /dev/kvm, and then the test is marked as skipped. */
bool guest_skip_accel(const char *accel);

/* Start the guest and wait until it runs on its filled memory. */
GuestVm *guest_start(const GuestConfig *config);
/* A machine that waits for it ("-incoming defer"). */
GuestVm *guest_start_incoming(const GuestConfig *config);
void guest_quit(GuestVm *vm);
void guest_kill(GuestVm *vm);

/* Wait until the guest prints c; what it printed before is dropped. */
void guest_wait_print(GuestVm *vm, char c);
void guest_send(GuestVm *vm, char c);
void guest_status(GuestVm *vm, GuestStatus *status);
/* What CPU n > 0 says of itself. */
void guest_cpu(GuestVm *vm, unsigned n, GuestCpu *cpu);
/* It makes visits. */
void guest_wait_progress(GuestVm *vm);
/* Freeze; it checks every word of its memory, we check every page of it; go on. */
void guest_verify(GuestVm *vm);

/* Capabilities by name up to NULL, and `events` with them. */
void mig_set_caps(GuestVm *vm, ...) G_GNUC_NULL_TERMINATED;
void mig_set_parameter(GuestVm *vm, const char *name, int64_t value);
/* Bytes/s and ms. */
void mig_set_limits(GuestVm *vm, int64_t bandwidth, int64_t downtime);
/* Let `to` listen and start at `from`; structured: "channels" in place of "uri". */
void mig_start(GuestVm *from, GuestVm *to, MigChannel channel, bool structured);
/* Collect events until this status comes; "failed" before it ends the test. */
void mig_wait_status(GuestVm *vm, const char *status);
/* Collect events for that long. */
void mig_collect(GuestVm *vm, unsigned ms);
/* Member of query-migrate's `ram`. */
int64_t mig_ram_stat(GuestVm *vm, const char *name);
/* Member of query-migrate that is text, "" without; g_free(). */
char *mig_info_string(GuestVm *vm, const char *name);
/*
 * A source that was started with these arguments does pass after pass, however little the guest
 * writes on a busy host: mig_hold() makes it wait for a word of the destination, which does not
 * come.  mig_let_go() stops the guest, which needs no such word, waits for the end, and lets the
 * guest go on at the destination.
 */
#define MIG_HOLD_ARGS "-global migration.switchover-ack-legacy=on"
void mig_hold(GuestVm *from);
void mig_let_go(GuestVm *from, GuestVm *to);
/* One whole precopy move. */
void mig_precopy(GuestVm *from, GuestVm *to, MigChannel channel, bool structured);
/*
 * One whole postcopy move, switched while most pages are at the source; the guest asks for
 * some of them.
 */
void mig_postcopy(GuestVm *from, GuestVm *to, MigChannel channel, bool structured);
/* The same; it is only let come to its end after so many requests. */
void mig_postcopy_requests(GuestVm *from, GuestVm *to, MigChannel channel, bool structured,
                           int64_t requests);

#endif
