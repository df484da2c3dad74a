/*
 * Faults: hears from userfaultfd who touched a page that is not there, and asks the source for
 * it, once.
 *
 * Belongs to the watcher.  That is the fault thread ("mig/dst/fault"), which sleeps in poll() on
 * the userfaultfd and on an eventfd that ends it.  While the pages that are asked for come on a
 * channel, the thread that reads this channel is the watcher: the listen thread, which is awake
 * anyway, so that a fault costs no wake-up, or the preempt thread, which need not go to sleep
 * between question and answer.  The fault thread sleeps until it gets that back.  Should two look
 * for a moment, each event still goes to one of them.  The watcher takes no lock but the return
 * path's, waits for nobody, and never touches guest memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "migration/postcopy-ram/dest-int.h"
#include "migration/return-path.h"
#include "migration/stream-internal.h"
#include "system/cpus.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/sched.h"
#include "util/util.h"

/* Events a read: as many as threads are likely to fault at the same time. */
#define EVENTS 16
/* How long to look for an answer before sleeping over it. */
#define ANSWER_NS 60000

/*
 * Ask for a host page.  When the return path breaks, it has shut the stream down as well
 * and the listen thread deals with it.  Pages stay REQUESTED, as they do while postcopy is
 * paused, and are asked for after the recovery.
 */
static void request_page(PostcopyDest *pd, PmiBlock *b, uint64_t offset)
{
    return_path_send_req_pages(pd->m->rp_send, b->rb->idstr, offset, b->rb->page_size, NULL);
}

static void handle_fault(PostcopyDest *pd, uint64_t address, int tid, int64_t now_ns)
{
    uint64_t offset, page;
    PmiBlock *b = pmi_find_host(pd->pmi, (const void *)(uintptr_t)address, &offset);
    PmiState was;

    if (!b) {
        error_report("userfaultfd reports 0x%" PRIx64 ", which is in no RAM block", address);
        return;
    }
    offset = ROUND_DOWN(offset, (uint64_t)b->rb->page_size);
    page = (uintptr_t)b->rb->host + offset;
    if (pd->blocktime) {
        blocktime_begin(pd->blocktime, page, tid, now_ns);
    }
    was = pmi_request(pd->pmi, b, offset);
    trace_postcopy_fault(b->rb->idstr, offset, tid, was);
    if (was == PMI_MISSING) {
        request_page(pd, b, offset);
    } else if (was == PMI_RECEIVED) {
        /* Placed between the touch and now; who touched was woken, or is now. */
        uffd_wake(pd->uffd, b->rb->host + offset, b->rb->page_size, NULL);
        if (pd->blocktime) {
            blocktime_end(pd->blocktime, page, b->rb->page_size, host_clock_ns());
        }
    }
}

/* Everything that is there to be read.  False: userfaultfd has failed. */
static bool handle_events(PostcopyDest *pd, Error **errp)
{
    struct uffd_msg msgs[EVENTS];
    int n;

    do {
        int64_t now_ns;

        n = uffd_read(pd->uffd, msgs, EVENTS, errp);
        now_ns = pd->blocktime ? host_clock_ns() : 0;
        for (int i = 0; i < n; i++) {
            if (msgs[i].event == UFFD_EVENT_PAGEFAULT) {
                handle_fault(pd, msgs[i].arg.pagefault.address, msgs[i].arg.pagefault.feat.ptid,
                             now_ns);
            }
        }
    } while (n == EVENTS);
    return n >= 0;
}

static void watch_failed(PostcopyDest *pd, Error *err)
{
    migration_set_error(pd->m, err);
    migration_shutdown_channels(pd->m);
}

static FaultWatcher watcher(const PostcopyDest *pd)
{
    return __atomic_load_n(&pd->watcher, __ATOMIC_ACQUIRE);
}

/* Sleeps until there is an event, if this thread is the watcher, or the watcher changes. */
static bool fault_thread_wait(PostcopyDest *pd, bool *ret_events, Error **errp)
{
    struct pollfd fds[2] = {
        { .fd = watcher(pd) == FAULT_THREAD ? pd->uffd : -1, .events = POLLIN },
        { .fd = pd->watcher_fd, .events = POLLIN },
    };
    uint64_t n;

    *ret_events = false;
    if (poll(fds, 2, -1) < 0) {
        if (errno != EINTR) {
            error_setg_errno(errp, errno, "fault thread: poll");
            return false;
        }
        return true;
    }
    if (fds[1].revents && read(pd->watcher_fd, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        error_setg_errno(errp, errno, "fault thread: eventfd");
        return false;
    }
    *ret_events = fds[0].revents != 0;
    return true;
}

static void *fault_thread(void *opaque)
{
    PostcopyDest *pd = opaque;
    Error *err = NULL;

    sched_set_slice(0, SCHED_SLICE_URGENT_NS);
    while (watcher(pd) != FAULT_NOBODY) {
        bool events;

        if (!fault_thread_wait(pd, &events, &err) || (events && !handle_events(pd, &err))) {
            watch_failed(pd, err);
            break;
        }
    }
    return NULL;
}

static void set_watcher(PostcopyDest *pd, FaultWatcher who)
{
    uint64_t one = 1;

    __atomic_store_n(&pd->watcher, who, __ATOMIC_RELEASE);
    if (write(pd->watcher_fd, &one, sizeof(one)) != sizeof(one)) {
        warn_report("cannot wake the fault thread: %s", g_strerror(errno));
    }
}

void fault_look(PlaceChannel *c)
{
    Error *err = NULL;

    if (!handle_events(c->pd, &err)) {
        fault_give_back(c);
        watch_failed(c->pd, err);
    }
}

/* An answer is often quicker than a wake-up: nobody else needs the core of who waits for it. */
static unsigned poll_for_answer(PlaceChannel *c, IOChannel *ioc, int uffd)
{
    int64_t end_ns = host_clock_ns() + ANSWER_NS;
    unsigned ready;

    do {
        ready = io_channel_poll(ioc, IO_READY_READ, uffd, 0);
    } while (!ready && pmi_outstanding(c->pd->pmi) && host_clock_ns() < end_ns);
    return ready;
}

/* The channel's thread, when it has nothing to read. */
static void watch_while_waiting(void *opaque, IOChannel *ioc)
{
    PlaceChannel *c = opaque;
    int uffd = c->watches ? c->pd->uffd : -1;
    unsigned ready = c->urgent ? poll_for_answer(c, ioc, uffd) : 0;

    if (!ready) {
        ready = io_channel_poll(ioc, IO_READY_READ, uffd, -1);
    }
    if (ready & IO_READY_OTHER) {
        fault_look(c);
    }
}

void fault_take_over(PlaceChannel *c, Stream *s)
{
    c->watches = true;
    set_watcher(c->pd, FAULT_READER);
    stream_set_wait(s, watch_while_waiting, c);
}

void fault_give_back(PlaceChannel *c)
{
    if (c->watches) {
        c->watches = false;
        set_watcher(c->pd, FAULT_THREAD);
    }
}

/*
 * vCPUs wait for single pages now and hold a core only briefly in between: let them in
 * at once when their page is there.  Afterwards: as before.
 */
static void vcpus_urgent(bool urgent)
{
    CPU_FOREACH(cpu) {
        sched_set_slice(cpu->host_tid, urgent ? SCHED_SLICE_URGENT_NS : SCHED_SLICE_DEFAULT_NS);
    }
}

bool fault_thread_start(PostcopyDest *pd, Error **errp)
{
    pd->watcher_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pd->watcher_fd < 0) {
        error_setg_errno(errp, errno, "cannot make an eventfd");
        return false;
    }
    pd->fault_thread = thread_try_start("mig/dst/fault", fault_thread, pd, errp);
    if (!pd->fault_thread) {
        close_fd(&pd->watcher_fd);
        return false;
    }
    vcpus_urgent(true);
    return true;
}

void fault_thread_stop(PostcopyDest *pd)
{
    if (!pd->fault_thread) {
        return;
    }
    set_watcher(pd, FAULT_NOBODY);
    g_thread_join(pd->fault_thread);
    pd->fault_thread = NULL;
    vcpus_urgent(false);
    close_fd(&pd->watcher_fd);
}
