/*
 * One migration, as the files of this folder share it (nothing outside migration/
 * includes this; the public header is include/migration/migration.h).
 *
 * A Migration is one attempt on one side.  migration.c owns the only pointer to
 * each side's current one; every thread gets its Migration as an argument.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_INT_H
#define FERRY_MIGRATION_INT_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/channel.h"
#include "migration/stream.h"
#include "stats.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/fault.h"

typedef struct Migration Migration;
typedef struct RamSource RamSource;          /* ram.h */
typedef struct RamDest RamDest;              /* ram.h */
typedef struct PostcopyDest PostcopyDest;    /* postcopy-ram/postcopy.h */
typedef struct PreemptSource PreemptSource;  /* postcopy-ram/preempt.h */
typedef struct ReturnPath ReturnPath;        /* return-path.h: the source's end */
typedef struct ReturnPathSend ReturnPathSend; /* return-path.h: the destination's end */
typedef struct MigConfig MigConfig;          /* config.h */
typedef struct MigStateMachine MigStateMachine; /* state.h */
typedef struct LoadState LoadState;          /* loadvm.c */
typedef struct MigListener MigListener;      /* channel.h */
typedef struct MigrateAddress MigrateAddress; /* channel.h */
typedef struct TlsCreds TlsCreds;            /* io/tls.h */
typedef struct MultifdSend MultifdSend;      /* multifd/multifd.h */
typedef struct MultifdRecv MultifdRecv;      /* multifd/multifd.h */
typedef struct MigWatch MigWatch;            /* watch.c */

/* Measuring, src-rates.c.  [m] */
typedef struct RateState {
    int64_t window_start_ns, dirty_start_ns;
    uint64_t window_bytes, window_pages;
    uint64_t accounted;        /* bytes of the stream that are in one of the three classes */
    unsigned windows;
    double bytes_per_ms;       /* 0: not known yet */
} RateState;

/* The period that auto-converge looks at, src-converge.c.  [m] */
typedef struct ConvergeState {
    int64_t last_ms;           /* when it began; 0: none did */
    uint64_t last_sent, last_dirtied; /* totals then: bytes, pages */
    unsigned high;             /* periods in a row that were too fast */
    uint64_t limit;            /* MiB/s that every vCPU may dirty; 0: not limited yet */
} ConvergeState;

/*
 * Who may touch a field:
 *   [c] constant once the threads run            [L] machine lock
 *   [m] the source's migration thread            [i] the thread that reads the main
 *   [a] atomic; any thread                           stream: incoming, then listen
 *   [t] its own lock, inside the object          [E] error_lock
 */
/* The file that a recovery is done with, carry/. */
typedef struct CarryState {
    MigrateAddress *address;   /* source: changed by `migrate resume` while [m] waits for that; NULL:
                                  the recovery goes over a network */
    int stop;                  /* [a] leave the file as it is: pause, yank, the end of the process */
    int released;              /* [a] source: the destination has everything */
    char *filename;            /* [E] for query-migrate; NULL: none yet */
    int status;                /* [a] MigrationCarryStatus */
    uint64_t pages, total, bytes; /* [a] */
} CarryState;

/* The destination knows one of them: MULTIFD_FLUSH, or each EOS (before 8.1). */
typedef enum MultifdMarks { MULTIFD_MARKS_FLUSH, MULTIFD_MARKS_SECTION, MULTIFD_MARKS_ASK } MultifdMarks;

struct Migration {
    /* ---- configuration ---- */
    bool source;               /* [c] side */
    const MigConfig *config;   /* [c] options frozen at the start (destination: when the
                                  connection comes); owned */
    char *uri;                 /* [c] where to/from, for messages */
    bool exit_on_error;        /* [c] destination */

    /* ---- life ---- */
    MigStateMachine *state;    /* [t] status and its legal moves */
    GThread *thread;           /* [L] migration / incoming */
    Error *error;              /* [E] the first error, for error-desc */
    GMutex error_lock;
    int cancel;                /* [a] source: leave as soon as possible */
    int threads_done;          /* [a] 1: `thread` has nothing left to do; it may be joined */

    /* ---- channel ---- */
    IOChannel *channel;        /* [E] main channel, changed by [m] or [i] when postcopy recovers;
                                  other threads: shutdown only */
    MigrateAddress *addr;      /* [c] the same */
    IOChannel *pages_channel;  /* [E] mapped-ram: pages are put into / got out of the file here;
                                  the main channel, but with direct-io; NULL: off, or closed */
    IOChannel *urgent_channel; /* [E] channel of postcopy-preempt; NULL: none (yet) */
    Stream *out;               /* [m] source: main stream */
    Stream *in;                /* [i] destination: main stream */
    MultifdSend *multifd_send; /* source: [c] after connecting; shutdown only, under [E] */
    MultifdRecv *multifd_recv; /* destination: [c] from the first connection on; the same */
    ReturnPath *return_path;   /* [m] source; NULL: none */
    ReturnPathSend *rp_send;   /* destination: [t]; NULL before OPEN_RETURN_PATH */

    /* ---- source ---- */
    RamSource *ram;            /* ram.h says which part is whose */
    GPtrArray *journeys;       /* [L] of PageJourney, once the migration is over */
    bool preempt_early;        /* [m] the destination is of a version that wants the preempt channel
                                  right behind the main one */
    int start_postcopy;        /* [a] migrate-start-postcopy was given */
    bool in_postcopy;          /* [m] the switch was made */
    bool given_up;             /* [m] what lets the destination run the guest has been sent: precopy's
                                  end, or the whole package of postcopy */
    int unconfirmed;           /* [a] paused before the destination said that it has the guest */
    PreemptSource *preempt;    /* the return-path thread's; made and freed by [m] while there is
                                  none; NULL: no preempt channel */
    MultifdMarks marks;        /* [m] what tells the destination to wait for its channels */
    int64_t marks_answer_us;   /* [m] what an answer to PING takes */
    bool detect_zero;          /* [m] the migration thread finds zero pages (not: channels) */
    struct MigConnector *cpr_connector; /* [c] mode cpr-transfer; NULL: none */
    IOChannel *cpr_channel;    /* [m] while it is in use; other threads: shutdown, under [E] */
    struct MigConnector *connector; /* [E] changed by `migrate resume`, while [m] waits for that */
    RunState old_run_state;    /* [m] before the stop */
    bool vm_was_running;       /* [m] */
    bool machine_stopped;      /* [m] we stopped it, and answer for it */
    struct Snapshot *snapshot; /* [m] src-snapshot.h; NULL: none is taken */
    JsonBuilder *vmdesc;       /* [m] NULL: none is sent */
    RateState rates;
    ConvergeState converge;    /* [m] */
    int acks_missing;          /* [a] SWITCHOVER_ACKs to come before the switch */

    /* ---- recovery by files, carry/; both sides ---- */
    uint8_t attempt[12];       /* identity: source: [m], destination: [i]; [c] before the guest moves */
    int attempt_parts;         /* [a] bit = this quarter of it is known to both sides */
    CarryState carry;

    /* ---- destination ---- */
    MigListener *listener;     /* [L] while waiting */
    GSList *undecided;         /* [L] connections that have not said what they are */
    RamDest *ram_dest;         /* ram.h */
    TlsCreds *tls_creds;       /* [c] of the first connection, for later ones; NULL: no TLS */
    LoadState *load;           /* [i] section ids seen on this stream */
    PostcopyDest *postcopy_dest; /* NULL until POSTCOPY_ADVISE */

    /* ---- watch.c ---- */
    MigWatch *watch;       /* [L] NULL: not watched (any more) */
    uint64_t naps;             /* [a] source: how often it was silent by its own choice */
    int closing;               /* [a] source: all is said, the channel may take its time */
    int greeted;               /* [a] destination: header and configuration are read */

    struct Verify *verify;     /* verify.h; [c] once it is there, set atomically by [m] or [i];
                                  NULL: x-verify plays no part */

    MigStats stats;            /* [a] counters */
};

/* ---- migration.c: lifecycle; owner of the pointers (machine lock) ---- */

Migration *migration_source_current(void);      /* NULL: none was ever started */
Migration *migration_destination_current(void);
/* First error wins; err is consumed.  Any thread. */
void migration_set_error(Migration *m, Error *err);
/* The same, and then `why` in front of the first error (a comma or colon at its end).  Any thread. */
void migration_explain_error(Migration *m, Error *err, const char *why);
/* A copy, or NULL.  Any thread. */
Error *migration_get_error(Migration *m);
/* Forget it: what broke is mended.  Any thread. */
void migration_clear_error(Migration *m);
bool migration_cancelled(const Migration *m);
/*
 * Take over the main channel (NULL: none at present); the one before is let go.  It is shut
 * down at once when m was cancelled before.
 */
void migration_set_channel(Migration *m, IOChannel *ioc);
/* The same for the channel of postcopy-preempt. */
void migration_set_urgent_channel(Migration *m, IOChannel *ioc);
/* The same for mapped-ram's. */
void migration_set_pages_channel(Migration *m, IOChannel *ioc);
/* The main thread took it over.  A reference for the caller; NULL: there is none yet. */
IOChannel *migration_get_urgent_channel(Migration *m);
/* m has these channels from now on; they are shut down at once when m was cancelled before. */
void migration_set_multifd_send(Migration *m, MultifdSend *ms);
/* The same for the cpr channel; NULL: it is not in use any more. */
void migration_set_cpr_channel(Migration *m, IOChannel *ioc);
/* Shut every channel of m down, so that no thread of it stays blocked.  Any thread. */
void migration_shutdown_channels(Migration *m);

/* A moment of a migration (util/fault.h): when it is to fail, the connection breaks here. */
void migration_moment(Migration *m, FaultPoint p);

/* ---- src-main.c: the migration thread ---- */

void *src_main(void *migration);
/* Wake the thread out of its sleeps (rate limit, pre-switchover).  Any thread. */
void src_wake(Migration *m);
/*
 * Connect, take over the channel, make the stream, start the return path if the options ask
 * for one.  Migration thread.
 */
bool src_connect(Migration *m, Error **errp);

/* ---- dst-main.c: the incoming thread ---- */

void *dst_main(void *migration);
/*
 * The load is over.  Precopy: called by the incoming thread; postcopy: by the listen
 * thread after EOF (err NULL) or its failure.  err is consumed.  Sends SHUT, sets
 * the final state, exits the program if that is asked for.
 */
void dst_finish(Migration *m, Error *err);
/*
 * Ask the main thread to start the machine as the source's run state says (globalstate).
 * in postcopy: from POSTCOPY_RUN.  Any thread.
 */
void dst_start_machine(Migration *m);

/* ---- savevm.c: writes sections ---- */

/* Header, CONFIGURATION. */
void savevm_send_header(Migration *m, Stream *s);
/* COMMAND element with its payload; flushed at once. */
void savevm_send_command(Stream *s, unsigned cmd, const void *payload, uint16_t len);
void savevm_send_open_return_path(Stream *s);
void savevm_send_ping(Stream *s, uint32_t cookie);
/* len < 4 GiB. */
void savevm_send_packaged(Stream *s, const void *blob, size_t len);
/* SECTION_START of every live thing. */
bool savevm_setup(Migration *m, Error **errp);
/* One SECTION_PART of every live thing that has something to send. */
bool savevm_iterate(Migration *m, Error **errp);
/* A PART without pages, of those live things that mark what other channels carry. */
bool savevm_mark_live(Migration *m, Error **errp);
/*
 * SECTION_END of live things.  `postcopied`: false takes those that are not left for
 * postcopy (all, in precopy), true takes the rest, at the end of postcopy.
 */
bool savevm_complete_live(Migration *m, bool postcopied, Error **errp);
/*
 * SECTION_FULL of all device state to s (the main stream or a PACKAGED blob).  Machine
 * lock held, machine stopped.  The JSON goes to m->vmdesc if there is one.
 */
bool savevm_save_devices(Migration *m, Stream *s, Error **errp);
void savevm_send_eof(Stream *s);
void savevm_send_vmdesc(Migration *m, Stream *s);

/* The parts of the JSON description before and up to the devices. */
JsonBuilder *savevm_vmdesc_begin(void);
void savevm_vmdesc_devices(JsonBuilder *json);

/* ---- loadvm.c: reads elements ---- */

typedef enum LoadResult {
    LOAD_ERROR,   /* errp set */
    LOAD_EOF,     /* EOF element */
    LOAD_END,     /* end of a PACKAGED blob */
    LOAD_QUIT,    /* POSTCOPY_RUN: every nested level returns, the listen thread owns the stream */
} LoadResult;

LoadState *loadvm_new(void);
void loadvm_free(LoadState *ls);
/* Header and CONFIGURATION. */
bool loadvm_header(Migration *m, Stream *s, Error **errp);
/*
 * Read elements of s (main stream, or a PACKAGED blob when `blob`) until one ends it.
 * Takes the machine lock around device state; RAM is loaded without it.
 */
LoadResult loadvm_run(Migration *m, Stream *s, bool blob, Error **errp);
/* After EOF in precopy: read the JSON description, if one comes, and forget it. */
bool loadvm_skip_vmdesc(Migration *m, Stream *s, Error **errp);

#endif
