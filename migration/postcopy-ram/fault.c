/*
 * The fault thread ("mig/dst/fault"): hears from userfaultfd who touched a page that is
 * not there, and asks the source for it, once.
 *
 * It sleeps in poll() on the userfaultfd and on an eventfd that ends it.  It takes no
 * lock but the return path's, waits for nobody, and never touches guest memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "migration/postcopy-ram/dest-int.h"
#include "migration/return-path.h"
#include "system/cpus.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/sched.h"
#include "util/util.h"

/* Events a read: as many as threads are likely to fault at the same time. */
#define EVENTS 16

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

static void *fault_thread(void *opaque)
{
    PostcopyDest *pd = opaque;
    struct pollfd fds[2] = {
        { .fd = pd->uffd, .events = POLLIN },
        { .fd = pd->quit_fd, .events = POLLIN },
    };
    Error *err = NULL;

    sched_set_slice(0, SCHED_SLICE_URGENT_NS);
    while (!err) {
        if (poll(fds, 2, -1) < 0) {
            if (errno != EINTR) {
                error_setg_errno(&err, errno, "fault thread: poll");
            }
            continue;
        }
        if (fds[1].revents) {
            break;
        }
        if (fds[0].revents) {
            handle_events(pd, &err);
        }
    }
    if (err) {
        migration_set_error(pd->m, err);
        migration_shutdown_channels(pd->m);
    }
    return NULL;
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
    pd->quit_fd = eventfd(0, EFD_CLOEXEC);
    if (pd->quit_fd < 0) {
        error_setg_errno(errp, errno, "cannot make an eventfd");
        return false;
    }
    pd->fault_thread = thread_start("mig/dst/fault", fault_thread, pd);
    vcpus_urgent(true);
    return true;
}

void fault_thread_stop(PostcopyDest *pd)
{
    uint64_t one = 1;

    if (!pd->fault_thread) {
        return;
    }
    if (write(pd->quit_fd, &one, sizeof(one)) != sizeof(one)) {
        warn_report("cannot tell the fault thread to end: %s", g_strerror(errno));
    }
    g_thread_join(pd->fault_thread);
    pd->fault_thread = NULL;
    vcpus_urgent(false);
    close_fd(&pd->quit_fd);
}
