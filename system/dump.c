/*
 * dump-guest-memory: the guest's memory and registers as an ELF core file.
 *
 * Headers and notes are made in the main thread, under the machine lock, with the guest stopped.
 * The thread "dump" then writes, without the lock: it uses only what it was given, and memory that
 * nobody changes as long as dump_in_progress().  The main thread ends it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/dump.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>

#include "io/channel.h"
#include "migration/migration.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-events.h"
#include "system/address-space.h"
#include "system/cpus.h"
#include "system/runstate.h"
#include "target/i386/core-notes.h"
#include "util/util.h"

enum { PIECE = MiB, MEMORY_ALIGN = 4096 };

/* A piece of memory that goes into the file. */
typedef struct DumpRange {
    uint64_t gpa, size;
    const uint8_t *host;
} DumpRange;

typedef struct Dump {
    /* Fixed once the thread runs. */
    GThread *thread;
    IOChannel *ioc;
    GByteArray *head;   /* all in front of the memory */
    GArray *ranges;     /* of DumpRange, ascending */
    uint64_t total;     /* bytes of memory */
    bool resume;        /* the guest ran before */

    uint64_t written;   /* atomic: bytes of memory */
    Error *err;         /* the thread's until it is joined */
} Dump;

static Dump *current;          /* machine lock; NULL: none in progress */
static DumpQueryResult last;   /* machine lock; of the one before */

bool dump_in_progress(void)
{
    return current != NULL;
}

static void dump_free(Dump *d)
{
    io_channel_unref(d->ioc);
    if (d->head) {
        g_byte_array_unref(d->head);
    }
    if (d->ranges) {
        g_array_unref(d->ranges);
    }
    g_clear_error(&d->err);
    g_free(d);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dump, dump_free)

static DumpQueryResult result_now(void)
{
    DumpQueryResult r = last;

    if (current) {
        r.status = DUMP_STATUS_ACTIVE;
        r.completed = __atomic_load_n(&current->written, __ATOMIC_RELAXED);
        r.total = current->total;
    }
    return r;
}

/* ---- what is in front of the memory ---- */

typedef struct Wanted {
    GArray *ranges;
    uint64_t begin, end;
} Wanted;

static void collect(const RamRegion *region, void *opaque)
{
    Wanted *w = opaque;
    uint64_t begin = MAX(region->gpa, w->begin), end = MIN(region->gpa + region->size, w->end);

    if (begin < end) {
        DumpRange r = { .gpa = begin, .size = end - begin,
                        .host = region->rb->host + region->rb_offset + (begin - region->gpa) };
        g_array_append_val(w->ranges, r);
    }
}

static GByteArray *make_notes(void)
{
    GByteArray *notes = g_byte_array_new();

    cpu_synchronize_all();
    CPU_FOREACH(cpu) {
        x86_core_note_prstatus(notes, X86_CPU(cpu));
    }
    CPU_FOREACH(cpu) {
        x86_core_note_system(notes, X86_CPU(cpu));
    }
    return notes;
}

static GByteArray *make_head(const GArray *ranges)
{
    g_autoptr(GByteArray) notes = make_notes();
    uint64_t notes_at = sizeof(Elf64_Ehdr) + (ranges->len + 1) * sizeof(Elf64_Phdr);
    uint64_t memory_at = ROUND_UP(notes_at + notes->len, (uint64_t)MEMORY_ALIGN);
    uint64_t memory = memory_at;
    const Elf64_Ehdr elf = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
        .e_phoff = sizeof(elf), .e_ehsize = sizeof(elf), .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = ranges->len + 1,
    };
    const Elf64_Phdr note = { .p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = notes->len,
                              .p_memsz = notes->len };
    GByteArray *head = g_byte_array_new();
    guint used;

    g_byte_array_append(head, (const uint8_t *)&elf, sizeof(elf));
    g_byte_array_append(head, (const uint8_t *)&note, sizeof(note));
    for (guint i = 0; i < ranges->len; i++) {
        const DumpRange *r = &g_array_index(ranges, DumpRange, i);
        const Elf64_Phdr load = { .p_type = PT_LOAD, .p_offset = memory, .p_flags = PF_R | PF_W | PF_X,
                                  .p_vaddr = r->gpa, .p_paddr = r->gpa, .p_filesz = r->size,
                                  .p_memsz = r->size };

        g_byte_array_append(head, (const uint8_t *)&load, sizeof(load));
        memory += r->size;
    }
    g_byte_array_append(head, notes->data, notes->len);
    used = head->len;
    g_byte_array_set_size(head, memory_at);
    memset(head->data + used, 0, memory_at - used);
    return head;
}

/* ---- writing ---- */

static bool write_piece(Dump *d, const void *data, size_t size)
{
    struct iovec iov = { (void *)data, size };

    return io_channel_writev_all(d->ioc, &iov, 1, &d->err);
}

static bool write_all(Dump *d)
{
    if (!write_piece(d, d->head->data, d->head->len)) {
        return false;
    }
    for (guint i = 0; i < d->ranges->len; i++) {
        const DumpRange *r = &g_array_index(d->ranges, DumpRange, i);

        for (uint64_t done = 0, n; done < r->size; done += n) {
            n = MIN(r->size - done, (uint64_t)PIECE);
            if (!write_piece(d, r->host + done, n)) {
                return false;
            }
            __atomic_fetch_add(&d->written, n, __ATOMIC_RELAXED);
        }
    }
    return io_channel_close(d->ioc, &d->err);
}

/* Main thread: the thread is at its end.  What it says passes to the caller. */
static Error *finish(void)
{
    g_autoptr(Dump) d = g_steal_pointer(&current);

    g_thread_join(d->thread);
    last = (DumpQueryResult){
        .status = d->err ? DUMP_STATUS_FAILED : DUMP_STATUS_COMPLETED,
        .completed = d->written,
        .total = d->total,
    };
    qapi_event_send_dump_completed(&last, d->err ? error_get_pretty(d->err) : NULL);
    if (d->resume && runstate_check(RUN_STATE_SAVE_VM)) {
        vm_start();
    }
    return g_steal_pointer(&d->err);
}

static void finish_detached(void *opaque)
{
    if (current == opaque) {
        Error *err = finish();

        g_clear_error(&err); /* the event has said it */
    }
}

static void *dump_thread(void *opaque)
{
    write_all(opaque);
    return NULL;
}

static void *dump_thread_detached(void *opaque)
{
    write_all(opaque);
    main_loop_call(finish_detached, opaque);
    return NULL;
}

/* ---- commands ---- */

static bool check_args(const DumpGuestMemoryArgs *args, Error **errp)
{
    if (args->paging) {
        error_setg(errp, "paging=true is not supported: the file has guest-physical addresses");
    } else if (args->has_begin != args->has_length) {
        error_setg(errp, "'begin' and 'length' go together");
    } else if (args->has_begin && (args->begin < 0 || args->length < 1 ||
                                   args->length > INT64_MAX - args->begin)) {
        error_setg(errp, "'begin' and 'length' are no range of addresses");
    } else if (current) {
        error_setg(errp, "a dump of the memory is in progress");
    } else if (migration_in_progress() || runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "a migration is in progress: memory cannot be dumped now");
    } else {
        return true;
    }
    return false;
}

static IOChannel *open_protocol(const char *protocol, Error **errp)
{
    IOChannel *ioc;
    int fd;

    if (g_str_has_prefix(protocol, "file:")) {
        fd = ferry_open(protocol + 5, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600, errp);
    } else if (g_str_has_prefix(protocol, "fd:")) {
        fd = monitor_fd_param(protocol + 3, errp);
    } else {
        error_setg(errp, "protocol '%s' is neither file:PATH nor fd:NAME", protocol);
        return NULL;
    }
    if (fd < 0) {
        return NULL;
    }
    ioc = io_channel_fd_new(fd, errp);
    if (!ioc) {
        close(fd);
    } else if (ioc->fd_out < 0) {
        error_setg(errp, "%s cannot be written", protocol);
        g_clear_pointer(&ioc, io_channel_unref);
    } else {
        io_channel_set_name(ioc, "dump");
    }
    return ioc;
}

static GArray *wanted_ranges(const DumpGuestMemoryArgs *args, uint64_t *ret_total, Error **errp)
{
    Wanted w = { g_array_new(false, false, sizeof(DumpRange)), 0, UINT64_MAX };

    if (args->has_begin) {
        w.begin = args->begin;
        w.end = w.begin + args->length;
    }
    memory_foreach_ram(collect, &w);
    *ret_total = 0;
    for (guint i = 0; i < w.ranges->len; i++) {
        *ret_total += g_array_index(w.ranges, DumpRange, i).size;
    }
    if (!w.ranges->len) {
        error_setg(errp, "there is no memory to dump");
        g_clear_pointer(&w.ranges, g_array_unref);
    }
    return w.ranges;
}

bool qmp_dump_guest_memory(const DumpGuestMemoryArgs *args, Error **errp)
{
    g_autoptr(Dump) d = g_new0(Dump, 1);
    bool detach = args->has_detach && args->detach;
    Error *err;

    if (!check_args(args, errp) || !(d->ranges = wanted_ranges(args, &d->total, errp)) ||
        !(d->ioc = open_protocol(args->protocol, errp))) {
        return false;
    }
    d->resume = runstate_is_live();
    if (d->resume) {
        vm_stop(RUN_STATE_SAVE_VM);
    }
    d->head = make_head(d->ranges);
    current = g_steal_pointer(&d);
    current->thread = thread_start("dump", detach ? dump_thread_detached : dump_thread, current);
    if (detach) {
        return true;
    }
    err = finish();
    if (err) {
        error_propagate(errp, err);
        return false;
    }
    return true;
}

DumpQueryResult *qmp_query_dump(Error **errp)
{
    DumpQueryResult *r = g_new(DumpQueryResult, 1);

    *r = result_now();
    return r;
}

DumpGuestMemoryCapability *qmp_query_dump_guest_memory_capability(Error **errp)
{
    DumpGuestMemoryCapability *c = g_new0(DumpGuestMemoryCapability, 1);

    c->formats = g_array_new(false, false, sizeof(DumpGuestMemoryFormat));
    for (DumpGuestMemoryFormat f = 0; f < DUMP_GUEST_MEMORY_FORMAT__MAX; f++) {
        g_array_append_val(c->formats, f);
    }
    return c;
}

void dump_shutdown(void)
{
    if (current) {
        io_channel_shutdown(current->ioc, IO_SHUTDOWN_BOTH, NULL);
        g_thread_join(current->thread);
        g_clear_pointer(&current, dump_free);
    }
}

/* ---- human monitor ---- */

static void cmd_dump(HmpSession *s, JsonObject *args)
{
    g_autofree char *protocol = g_strdup_printf("file:%s", hmp_arg_str(args, "filename"));
    const DumpGuestMemoryArgs a = {
        .protocol = protocol,
        .has_detach = true,
        .detach = json_object_has_member(args, "detach"),
        .has_begin = json_object_has_member(args, "begin"),
        .begin = hmp_arg_int(args, "begin", 0),
        .has_length = json_object_has_member(args, "length"),
        .length = hmp_arg_int(args, "length", 0),
    };
    Error *err = NULL;

    qmp_dump_guest_memory(&a, &err);
    hmp_error(s, err);
}

static void info_dump(HmpSession *s, JsonObject *args)
{
    DumpQueryResult r = result_now();

    hmp_printf(s, "Status: %s\n", dump_status_str(r.status));
    if (r.status == DUMP_STATUS_ACTIVE) {
        hmp_printf(s, "Finished: %.2f %%\n", 100.0 * r.completed / r.total);
    }
}

static const HmpCommand dump_commands[] = {
    { "dump-guest-memory", "detach:-d,filename:s,begin:l?,length:l?", "[-d] filename [begin length]",
      "write the guest's memory into a core file (-d: in the background)", cmd_dump },
    { NULL },
};
HMP_COMMANDS(dump_commands)

static const HmpCommand dump_info[] = {
    { "dump", "", "", "show the state of the last dump of memory", info_dump },
    { NULL },
};
HMP_INFO(dump_info)
