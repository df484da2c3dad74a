/*
 * The listen thread ("mig/dst/listen"): reads the main stream from POSTCOPY_LISTEN to
 * its end and puts pages in place, while the incoming thread loads the package and the
 * guest starts.
 *
 * When the stream breaks it pauses and waits for the next one (recover-dest.c).
 *
 * It never takes the machine lock while pages are missing: whoever holds that lock may
 * be waiting for one of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/dest-int.h"

#include <inttypes.h>

#include "migration/config.h"
#include "migration/state.h"
#include "migration/verify.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/log.h"
#include "util/sched.h"
#include "util/util.h"

bool postcopy_check_complete(PostcopyDest *pd, Error **errp)
{
    for (unsigned i = 0; i < pd->pmi->num_blocks; i++) {
        const PmiBlock *b = &pd->pmi->blocks[i];
        uint64_t missing = b->pages - bitmap_count(b->received, 0, b->pages);

        if (missing) {
            error_setg(errp,
                       "%" PRIu64 " of the %" PRIu64 " pages of RAM block '%s' never came (the "
                       "first one is 0x%" PRIx64 ")",
                       missing, b->pages, b->rb->idstr,
                       bitmap_find_next_zero(b->received, b->pages, 0) << TARGET_PAGE_BITS);
            return false;
        }
    }
    return true;
}

static bool read_stream(PostcopyDest *pd, Error **errp)
{
    Migration *m = pd->m;
    bool good;

    if (!m->config->cap[MIG_CAP_POSTCOPY_PREEMPT]) {
        fault_take_over(&pd->main, m->in);
    }
    good = loadvm_run(m, m->in, false, errp) != LOAD_ERROR;
    fault_give_back(&pd->main);
    if (!good) {
        return false;
    }
    preempt_dest_drain(pd);
    /* The source says that this is all: then nothing may be missing. */
    if (!postcopy_check_complete(pd, errp)) {
        error_prefix(errp, "the source ended, but ");
        return false;
    }
    g_autoptr(Error) missing = NULL;
    if (!verify_dest_end(m, &missing)) {
        warn_report("%s", missing->message); /* the guest runs here, and has all of its memory */
    }
    return true;
}

/* The package failed, and the stream was closed because of that. */
static bool main_failed(PostcopyDest *pd)
{
    bool failed;

    g_mutex_lock(&pd->lock);
    failed = pd->main_error != NULL;
    g_mutex_unlock(&pd->lock);
    return failed;
}

/*
 * The stream failed.  True when the guest does not run here yet, nobody was told that it will,
 * and now it will not: whoever waits for memory goes on, to find that all was in vain.
 */
static bool give_up_before_run(PostcopyDest *pd)
{
    bool before;

    g_mutex_lock(&pd->lock);
    before = !pd->promised && postcopy_phase(pd) != POSTCOPY_RUNNING;
    pd->listen_failed = before;
    g_mutex_unlock(&pd->lock);
    return before;
}

/* Wait until the package is loaded or has failed.  *err becomes whatever failed first. */
static void wait_for_main(PostcopyDest *pd, Error **err)
{
    g_mutex_lock(&pd->lock);
    while (!pd->main_done) {
        g_cond_wait(&pd->cond, &pd->lock);
    }
    if (pd->main_error && !pd->listen_failed) {
        g_clear_error(err);
        *err = g_steal_pointer(&pd->main_error);
    }
    g_mutex_unlock(&pd->lock);
}

static void stop_serving(PostcopyDest *pd)
{
    preempt_dest_stop(pd);
    fault_thread_stop(pd);
    postcopy_unregister_all(pd);
    postcopy_thp(pd, true);
}

/*
 * Stream after stream until one comes to its end, or fails before the guest runs here.
 * False: the process goes down.
 */
static bool read_streams(PostcopyDest *pd, Error **errp)
{
    for (;;) {
        Error *err = NULL;

        if (read_stream(pd, &err)) {
            return true;
        }
        if (main_failed(pd) || give_up_before_run(pd)) {
            error_propagate(errp, err);
            return true;
        }
        wait_for_main(pd, &err);
        if (postcopy_phase(pd) != POSTCOPY_RUNNING) { /* the package was wrong at its very end */
            error_propagate(errp, err);
            return true;
        }
        switch (postcopy_pause_dest(pd, err)) {
        case PAUSE_STREAM:
            break;
        case PAUSE_COMPLETE:
            return true;
        case PAUSE_CANCELLED:
            return false;
        }
    }
}

static void *listen_thread(void *opaque)
{
    PostcopyDest *pd = opaque;
    Error *err = NULL;
    PlaceCounts counts;
    bool over;

    if (pd->preempt) {
        sched_set_background(); /* what somebody waits for goes another way */
    }
    over = read_streams(pd, &err);
    postcopy_pause_end(pd);
    counts = place_counts(pd->placer);
    trace_postcopy_listen_end(counts.pages, counts.zero_pages, counts.ioctls, counts.urgent);
    if (over) {
        stop_serving(pd);
    }
    wait_for_main(pd, &err);
    if (!over || migration_cancelled(pd->m)) {
        g_clear_error(&err); /* the process is going down */
        return NULL;
    }
    if (!err) {
        postcopy_set_phase(pd, POSTCOPY_ENDED);
    }
    dst_finish(pd->m, err);
    return NULL;
}

bool listen_thread_start(PostcopyDest *pd, Error **errp)
{
    pd->listen_thread = thread_try_start("mig/dst/listen", listen_thread, pd, errp);
    return pd->listen_thread != NULL;
}
