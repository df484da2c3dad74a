/*
 * The destination of a postcopy, as the files of this folder share it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_DEST_INT_H
#define FERRY_MIGRATION_POSTCOPY_DEST_INT_H

#include "migration/carry/carry.h"
#include "migration/channel.h"
#include "migration/postcopy-ram/blocktime.h"
#include "migration/postcopy-ram/place.h"
#include "migration/postcopy-ram/pmi.h"
#include "migration/postcopy-ram/postcopy.h"
#include "migration/postcopy-ram/preempt.h"
#include "util/uffd.h"

/*
 * How far it is.  ADVISED -> [DISCARDING ->] LISTENING -> RUNNING -> ENDED; written by
 * the incoming thread up to RUNNING, by the listen thread at the end.
 */
typedef enum PostcopyPhase {
    POSTCOPY_ADVISED,    /* the source may postcopy; memory is empty */
    POSTCOPY_DISCARDING, /* it will: it has begun to take stale pages back */
    POSTCOPY_LISTENING,  /* faults are served, devices are being loaded */
    POSTCOPY_RUNNING,    /* the guest runs here */
    POSTCOPY_ENDED,      /* every page has come */
} PostcopyPhase;

/* Who reads userfaultfd. */
typedef enum FaultWatcher {
    FAULT_THREAD, /* the fault thread */
    FAULT_READER, /* the thread that reads the pages that are asked for */
    FAULT_NOBODY, /* it is over: the fault thread ends */
} FaultWatcher;

/* A channel that pages come on: what the functions of the PageSink work on; its reader's. */
typedef struct PlaceChannel {
    PostcopyDest *pd;
    Placer *placer;
    RamDest *rd;             /* its `last` is this channel's */
    unsigned records;        /* read so far; wraps */
    bool urgent;             /* nothing but pages that somebody waits for */
    bool watches;            /* its thread is the watcher */
} PlaceChannel;

extern const PageSink postcopy_sink; /* dest.c; its opaque is a PlaceChannel */

/*
 * Field keys: [c] constant from LISTEN on, [a] atomic, [L] lock,
 *   [i] the thread that reads the main stream: incoming, then listen,
 *   [f] fault thread.
 */
struct PostcopyDest {
    Migration *m;            /* [c] */
    int phase;               /* [a] PostcopyPhase */
    Pmi *pmi;                /* [c] its bitmaps are those of m->ram_dest */
    Blocktime *blocktime;    /* [c] NULL without postcopy-blocktime */
    bool thp_off;            /* [i] transparent huge pages were switched off */

    int uffd;                /* [c] -1: none */
    unsigned registered;     /* [i] the first so many blocks of pmi are registered */
    Placer *placer;          /* [i] */
    PlaceChannel main;       /* [i] */
    PreemptDest *preempt;    /* [i] NULL: no preempt channel */

    int watcher;             /* [a] FaultWatcher */
    int watcher_fd;          /* [c] eventfd: the fault thread looks who is the watcher */
    GThread *fault_thread;   /* [c] until joined */

    GThread *listen_thread;  /* [c] until joined */
    GMutex lock;
    GCond cond;
    bool main_done;          /* [L] the incoming thread has returned */
    Error *main_error;       /* [L] and this is what it failed with */
    bool promised;           /* [L] the source was told that the guest will run here */
    bool listen_failed;      /* [L] the stream failed before that, and RUN is refused now */

    int wake_fd;             /* [L] eventfd: the listen thread looks again while it is paused; -1:
                                it has ended */
    GThread *second_thread;  /* [i] takes the preempt channel of a recovery with TLS; NULL: none */
    int64_t second_until;    /* [a] when it gives up, us; 0: not while the main channel stands */
    CarryFile *file;         /* [L] that the listen thread is to read; NULL: none */
    MigAcceptor *acceptor;   /* [L] where the source may connect to again; NULL: nowhere yet */
};

static inline PostcopyPhase postcopy_phase(const PostcopyDest *pd)
{
    return __atomic_load_n(&pd->phase, __ATOMIC_ACQUIRE);
}
void postcopy_set_phase(PostcopyDest *pd, PostcopyPhase phase);

/* ---- fault.c ---- */

/* Start the thread that serves pd->uffd. */
bool fault_thread_start(PostcopyDest *pd, Error **errp);
/* End it; a thread that was never started is fine. */
void fault_thread_stop(PostcopyDest *pd);
/*
 * The thread that reads channel c, which calls this, is the watcher from now on: when s, its
 * stream, has nothing to read it waits for faults as well.  It calls fault_look() now and then
 * while it is busy.
 */
void fault_take_over(PlaceChannel *c, Stream *s);
/* The fault thread is the watcher again, if c's thread was. */
void fault_give_back(PlaceChannel *c);
/* Serve the faults that there are; does not wait.  c's thread is the watcher. */
void fault_look(PlaceChannel *c);

/* ---- recover-dest.c ---- */

/*
 * The stream of a running guest broke (err, consumed): the guest goes on with what it has,
 * and whoever touches a missing page sleeps.  Listen thread; returns when the pause has ended.
 */
typedef enum PauseEnd {
    PAUSE_STREAM,    /* a new stream is there to be read */
    PAUSE_COMPLETE,  /* a file had all that was missing */
    PAUSE_CANCELLED, /* the process goes down */
} PauseEnd;
PauseEnd postcopy_pause_dest(PostcopyDest *pd, Error *err);
/* There will be no pause any more: what waiting needs is given back.  Listen thread. */
void postcopy_pause_end(PostcopyDest *pd);

/* ---- listen.c ---- */

bool listen_thread_start(PostcopyDest *pd, Error **errp);
/* Is every page here?  Else errp says which one is not.  Listen thread. */
bool postcopy_check_complete(PostcopyDest *pd, Error **errp);

/* ---- register.c ---- */

/* userfaultfd over every block, drop what is present but was not received. */
bool postcopy_register_all(PostcopyDest *pd, Error **errp);
/* Let everybody go on; memory that has not come reads as zeros. */
void postcopy_unregister_all(PostcopyDest *pd);
/* Transparent huge pages off (a fault must be a small page's) and, at the end, on again. */
void postcopy_thp(PostcopyDest *pd, bool on);

#endif
