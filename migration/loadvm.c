/*
 * Reads a stream: header, sections, commands (one table row each).
 *
 * Belongs to the thread that reads the stream: incoming, and listen from
 * POSTCOPY_LISTEN on.  Device state is loaded under the machine lock, which the stream
 * lets go while it waits for bytes; RAM is loaded without it.
 *
 * Every error names the section and the offset in the stream.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "savevm.h"

#include <string.h>

#include "carry/carry.h"
#include "config.h"
#include "hw/core/machine.h"
#include "multifd/multifd.h"
#include "postcopy-ram/postcopy.h"
#include "postcopy-ram/preempt.h"
#include "return-path.h"
#include "stream-internal.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/util.h"
#include "verify.h"
#include "wire.h"

/* How long the description may take when the source has said all but that. */
#define VMDESC_WAIT_MS 1000
#define VMDESC_MAX (64 * MiB)
#define BLOB_PIECE (1 * MiB)

/* What a section is of. */
typedef struct LoadedSection {
    SaveEntry *entry;
    int version_id;
} LoadedSection;

/*
 * The sections that go on.  They are the main stream's alone, so the table belongs to the thread
 * that reads it: while the listen thread looks its pages' section up, the incoming thread loads
 * the devices of the package.
 */
struct LoadState {
    GHashTable *sections; /* section id -> LoadedSection of a live thing */
};

LoadState *loadvm_new(void)
{
    LoadState *ls = g_new0(LoadState, 1);

    ls->sections = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return ls;
}

void loadvm_free(LoadState *ls)
{
    if (ls) {
        g_hash_table_unref(ls->sections);
        g_free(ls);
    }
}

/* errp from what went wrong below, or else from the stream. */
static bool fail(Stream *s, Error *err, Error **errp, const char *what, uint64_t at)
{
    if (err && !stream_error(s, NULL)) {
        error_propagate(errp, err);
        error_prefix(errp, "%s at offset %" PRIu64 " of the stream: ", what, at);
    } else {
        g_clear_error(&err);
        stream_error(s, errp);
        error_prefix(errp, "%s, which began at offset %" PRIu64 ": ", what, at);
    }
    return false;
}

/* ---- header ---- */

bool loadvm_header(Migration *m, Stream *s, Error **errp)
{
    uint8_t header[WIRE_FILE_HEADER_LEN];
    uint64_t at;
    Error *err = NULL;

    if (!stream_get_bytes(s, header, sizeof(header)) || !wire_file_header_check(header, &err)) {
        return fail(s, err, errp, "the header", 0);
    }
    if (!m->config->send_configuration) {
        return true;
    }
    at = stream_offset(s);
    if (stream_get_u8(s) != WIRE_CONFIGURATION && !stream_error(s, NULL)) {
        error_setg(&err, "it is missing");
    }
    if (err || stream_error(s, NULL) || !stream_configuration_load(s, m->config, &err)) {
        return fail(s, err, errp, "the configuration", at);
    }
    return true;
}

/* ---- sections ---- */

static bool load_body(Migration *m, Stream *s, const LoadedSection *sec, Error **errp)
{
    if (sec->entry->live) {
        return sec->entry->live->load(m, s, sec->version_id, errp);
    }
    if (fault_point(FAULT_DEVICE_LOAD)) {
        error_setg(errp, "the fault point 'device-load' is armed");
        return false;
    }
    MACHINE_LOCK_GUARD();
    return vmstate_load(s, sec->entry->vmsd, sec->entry->opaque, sec->version_id, errp);
}

static bool load_footer(Migration *m, Stream *s, uint32_t section_id, Error **errp)
{
    uint8_t mark;
    uint32_t id;

    if (!m->config->send_section_footer) {
        return true;
    }
    mark = stream_get_u8(s);
    id = stream_get_be32(s);
    if (stream_error(s, NULL)) {
        return false;
    }
    if (mark != WIRE_FOOTER || id != section_id) {
        error_setg(errp, "it is not followed by its footer (byte 0x%02x, section id %u instead of "
                   "0x%02x, %u): the two sides do not agree about its layout", mark, id,
                   WIRE_FOOTER, section_id);
        return false;
    }
    return true;
}

/* Header of START and FULL: what is it?  ret_name gets the name for messages. */
static bool section_open(Stream *s, WireElement kind, LoadedSection *ret, char ret_name[300],
                         Error **errp)
{
    char idstr[256];
    uint32_t instance_id, version_id;
    SaveEntry *e;

    stream_get_str8(s, idstr);
    instance_id = stream_get_be32(s);
    version_id = stream_get_be32(s);
    if (stream_error(s, NULL)) {
        return false;
    }
    g_autofree char *shown = g_strescape(idstr, NULL);
    g_snprintf(ret_name, 300, "section '%.250s' instance %u", shown, instance_id);
    e = *idstr ? save_registry_find(save_registry(), idstr, instance_id) : NULL;
    if (!e) {
        error_setg(errp, "this machine has no such state");
        return false;
    }
    if (version_id > (uint32_t)e->version_id ||
        (e->vmsd && version_id < (uint32_t)e->vmsd->minimum_version_id)) {
        error_setg(errp, "version %u of it is not supported; versions %d to %d are", version_id,
                   e->vmsd ? e->vmsd->minimum_version_id : e->version_id, e->version_id);
        return false;
    }
    if ((kind == WIRE_SECTION_START) != !!e->live) {
        error_setg(errp, "it cannot come as %s", wire_element_name(kind));
        return false;
    }
    *ret = (LoadedSection){ e, version_id };
    return true;
}

static gboolean same_entry(gpointer id, gpointer sec, gpointer entry)
{
    return ((LoadedSection *)sec)->entry == entry;
}

/* PART and END will name it by its id.  Each live thing starts once, so the table stays small. */
static bool section_keep(Migration *m, uint32_t section_id, const LoadedSection *sec,
                         Error **errp)
{
    gpointer id = GUINT_TO_POINTER(section_id);

    if (g_hash_table_find(m->load->sections, same_entry, sec->entry) ||
        g_hash_table_contains(m->load->sections, id)) {
        error_setg(errp, "it, or another one with section id %u, was started before", section_id);
        return false;
    }
    g_hash_table_insert(m->load->sections, id, g_memdup2(sec, sizeof(*sec)));
    return true;
}

/* Id of PART and END: a live thing that was opened by START. */
static bool section_again(Migration *m, uint32_t section_id, LoadedSection *ret,
                          char ret_name[300], Error **errp)
{
    const LoadedSection *sec = g_hash_table_lookup(m->load->sections,
                                                   GUINT_TO_POINTER(section_id));

    g_snprintf(ret_name, 300, "section id %u", section_id);
    if (!sec) {
        error_setg(errp, "no section with this id was started before");
        return false;
    }
    g_snprintf(ret_name, 300, "section '%s'", sec->entry->idstr);
    *ret = *sec;
    return true;
}

static bool load_section(Migration *m, Stream *s, WireElement kind, bool blob, uint64_t at,
                         Error **errp)
{
    uint32_t section_id = stream_get_be32(s);
    char name[300] = "a section header";
    LoadedSection sec = { 0 };
    Error *err = NULL;
    bool ok;

    if (stream_error(s, NULL)) {
        return fail(s, NULL, errp, name, at);
    }
    if (!blob && postcopy_dest_placing(m) &&
        (kind == WIRE_SECTION_FULL || kind == WIRE_SECTION_START)) {
        /* The guest runs, or its devices are being loaded by another thread. */
        error_setg(&err, "%s cannot come in postcopy", wire_element_name(kind));
        ok = false;
    } else if (kind == WIRE_SECTION_FULL) {
        ok = section_open(s, kind, &sec, name, &err);
    } else if (blob) {
        error_setg(&err, "%s cannot come inside a package", wire_element_name(kind));
        ok = false;
    } else if (kind == WIRE_SECTION_START) {
        ok = section_open(s, kind, &sec, name, &err) &&
             section_keep(m, section_id, &sec, &err);
    } else {
        ok = section_again(m, section_id, &sec, name, &err);
    }
    trace_loadvm_section(name, wire_element_name(kind), at);
    if (!ok || !load_body(m, s, &sec, &err) || !load_footer(m, s, section_id, &err)) {
        return fail(s, err, errp, name, at);
    }
    return true;
}

/* ---- commands ---- */

typedef struct CommandArgs {
    const uint8_t *payload;
    uint16_t len;
    Stream *s;          /* behind the payload */
    bool blob;          /* inside PACKAGED */
    LoadResult result;  /* what ends the loop, LOAD_ERROR: nothing does */
} CommandArgs;

typedef bool CommandFn(Migration *m, CommandArgs *a, Error **errp);

/* Before LISTEN, inside a package, and on the main stream from LISTEN on. */
enum { IN_MAIN = 1, IN_BLOB = 2, IN_POSTCOPY = 4 };
static const char *const places[] = {
    [IN_MAIN] = "outside of a package", [IN_BLOB] = "inside a package",
    [IN_POSTCOPY] = "in postcopy",
};

static int place_of(const Migration *m, bool blob)
{
    return blob ? IN_BLOB : postcopy_dest_placing(m) ? IN_POSTCOPY : IN_MAIN;
}

static bool cmd_open_return_path(Migration *m, CommandArgs *a, Error **errp)
{
    if (m->rp_send) {
        return true; /* said twice */
    }
    if (!m->channel->two_way) {
        error_setg(errp, "the source wants a return path, and nothing can be sent back on this "
                   "channel: use a socket, or turn return-path and postcopy-ram off there");
        return false;
    }
    ReturnPathSend *rps = return_path_send_new(m->channel);
    __atomic_store_n(&m->rp_send, rps, __ATOMIC_RELEASE);
    if (m->config->cap[MIG_CAP_SWITCHOVER_ACK] && m->config->switchover_ack_legacy) {
        /* No device here has anything to wait for. */
        return return_path_send_switchover_ack(rps, errp);
    }
    return true;
}

static bool cmd_ping(Migration *m, CommandArgs *a, Error **errp)
{
    if (!m->rp_send) {
        error_setg(errp, "there is no return path to answer on");
        return false;
    }
    uint32_t cookie = wire_get_be32(a->payload);

    if (cookie == WIRE_PING_VERIFY && place_of(m, a->blob) == IN_MAIN) {
        verify_dest_asked(m);
        return return_path_send_pong(m->rp_send, WIRE_PING_VERIFY_KNOWN, errp);
    }
    if (a->blob && cookie == WIRE_PING_DEVICES_LOADED && !postcopy_dest_promise(m, errp)) {
        return false;
    }
    if (!a->blob) {
        cookie = carry_attempt_ping(m, cookie);
    }
    return fault_point(FAULT_DST_PONG) || return_path_send_pong(
        m->rp_send, cookie == WIRE_PING_MARKS ? WIRE_PING_MARKS_KNOWN : cookie, errp);
}

static bool cmd_advise(Migration *m, CommandArgs *a, Error **errp)
{
    return postcopy_dest_advise(m, a->payload, a->len, errp);
}

static bool cmd_listen(Migration *m, CommandArgs *a, Error **errp)
{
    if (m->multifd_recv && !multifd_recv_no_more_pages(m->multifd_recv, errp)) {
        return false;
    }
    return postcopy_dest_listen(m, errp);
}

static bool cmd_run(Migration *m, CommandArgs *a, Error **errp)
{
    a->result = LOAD_QUIT;
    return postcopy_dest_run(m, errp);
}

static bool cmd_discard(Migration *m, CommandArgs *a, Error **errp)
{
    return postcopy_dest_discard(m, a->payload, a->len, errp);
}

static bool cmd_recv_bitmap(Migration *m, CommandArgs *a, Error **errp)
{
    return postcopy_dest_recv_bitmap(m, a->payload, a->len, errp);
}

static bool cmd_resume(Migration *m, CommandArgs *a, Error **errp)
{
    return postcopy_dest_resume(m, errp);
}

/* In pieces: what the stream only claims to have costs nothing.  NULL: it failed. */
static uint8_t *read_blob(Stream *s, size_t len, Error **errp)
{
    g_autofree uint8_t *blob = NULL;

    for (size_t got = 0, piece = 0; got < len || !blob; got += piece) {
        uint8_t *more;

        piece = MIN(len - got, BLOB_PIECE);
        more = realloc_from_wire(blob, got + piece, errp);
        if (!more) {
            return NULL;
        }
        g_steal_pointer(&blob);
        blob = more;
        if (!stream_get_bytes(s, blob + got, piece)) {
            return NULL;
        }
    }
    return g_steal_pointer(&blob);
}

/* The blob is read whole before any of it is loaded: the stream goes on behind it. */
static bool cmd_packaged(Migration *m, CommandArgs *a, Error **errp)
{
    uint32_t len = wire_get_be32(a->payload);
    g_autofree uint8_t *blob = NULL;
    g_autoptr(Stream) s = NULL;

    if (len > WIRE_PACKAGED_MAX) {
        error_setg(errp, "it has %u bytes; at most %llu are possible", len,
                   (unsigned long long)WIRE_PACKAGED_MAX);
        return false;
    }
    blob = read_blob(a->s, len, errp);
    if (!blob) {
        return false;
    }
    if (!preempt_dest_wait(m, errp)) {
        return false;
    }
    verify_dest_devices(m, blob, len);
    s = stream_new_input_memory(blob, len);
    stream_set_name(s, "package");
    a->result = loadvm_run(m, s, true, errp);
    if (a->result != LOAD_ERROR && a->result != LOAD_QUIT && postcopy_dest_placing(m)) {
        /* The stream belongs to the listen thread already: this one must not go on with it. */
        error_setg(errp, "it has POSTCOPY_LISTEN and ends without POSTCOPY_RUN");
        return false;
    }
    return a->result != LOAD_ERROR;
}

static bool cmd_verify(Migration *m, CommandArgs *a, Error **errp)
{
    return verify_dest_command(m, a->payload, a->len, errp);
}

static bool cmd_switchover_start(Migration *m, CommandArgs *a, Error **errp)
{
    return true; /* for devices that prepare themselves; there are none */
}

/* Payload lengths are checked by wire_command_check(). */
static const struct {
    CommandFn *fn;
    int where;
} commands[WIRE_CMD__MAX] = {
    [WIRE_CMD_OPEN_RETURN_PATH] = { cmd_open_return_path, IN_MAIN },
    [WIRE_CMD_PING] = { cmd_ping, IN_MAIN | IN_BLOB | IN_POSTCOPY },
    [WIRE_CMD_POSTCOPY_ADVISE] = { cmd_advise, IN_MAIN },
    [WIRE_CMD_POSTCOPY_LISTEN] = { cmd_listen, IN_BLOB },
    [WIRE_CMD_POSTCOPY_RUN] = { cmd_run, IN_BLOB },
    [WIRE_CMD_POSTCOPY_RAM_DISCARD] = { cmd_discard, IN_MAIN },
    [WIRE_CMD_PACKAGED] = { cmd_packaged, IN_MAIN },
    [WIRE_CMD_POSTCOPY_RESUME] = { cmd_resume, IN_MAIN | IN_POSTCOPY },
    [WIRE_CMD_RECV_BITMAP] = { cmd_recv_bitmap, IN_MAIN | IN_POSTCOPY },
    [WIRE_CMD_SWITCHOVER_START] = { cmd_switchover_start, IN_MAIN },
    [WIRE_CMD_FERRY_VERIFY] = { cmd_verify, IN_MAIN | IN_POSTCOPY },
};

static bool load_command(Migration *m, Stream *s, bool blob, uint64_t at, LoadResult *result,
                         Error **errp)
{
    unsigned cmd = stream_get_be16(s);
    CommandArgs a = { .len = stream_get_be16(s), .s = s, .blob = blob };
    g_autofree uint8_t *payload = NULL;
    g_autofree char *name = g_strdup_printf("command %s", wire_command_name(cmd));
    Error *err = NULL;

    if (!stream_error(s, NULL) && wire_command_check(cmd, a.len, &err)) {
        a.payload = payload = alloc_from_wire(a.len, &err);
        if (payload) {
            stream_get_bytes(s, payload, a.len);
        }
        if (err) {
            /* said */
        } else if (!commands[cmd].fn) {
            error_setg(&err, "it is not supported");
        } else if (!(commands[cmd].where & place_of(m, blob))) {
            error_setg(&err, "it cannot come %s", places[place_of(m, blob)]);
        }
    }
    trace_loadvm_command(wire_command_name(cmd), a.len, at);
    if (err || stream_error(s, NULL) || !commands[cmd].fn(m, &a, &err)) {
        return fail(s, err, errp, name, at);
    }
    *result = a.result;
    return true;
}

/* ---- elements ---- */

LoadResult loadvm_run(Migration *m, Stream *s, bool blob, Error **errp)
{
    for (;;) {
        uint64_t at = stream_offset(s);
        LoadResult result = LOAD_ERROR;
        uint8_t kind;

        if (blob && !stream_more(s)) {
            return LOAD_END;
        }
        kind = stream_get_u8(s);
        if (stream_error(s, NULL)) {
            fail(s, NULL, errp, "an element", at);
            return LOAD_ERROR;
        }
        switch (kind) {
        case WIRE_SECTION_START:
        case WIRE_SECTION_PART:
        case WIRE_SECTION_END:
        case WIRE_SECTION_FULL:
            if (!load_section(m, s, kind, blob, at, errp)) {
                return LOAD_ERROR;
            }
            break;
        case WIRE_COMMAND:
            if (!load_command(m, s, blob, at, &result, errp)) {
                return LOAD_ERROR;
            }
            if (result == LOAD_QUIT) {
                return LOAD_QUIT;
            }
            break;
        case WIRE_EOF:
            return LOAD_EOF;
        default:
            error_setg(errp, "unknown element 0x%02x (%s) at offset %" PRIu64 " of the stream",
                       kind, wire_element_name(kind), at);
            return LOAD_ERROR;
        }
    }
}

/* Is there a description?  A source that waits for our SHUT may have suppressed it. */
static bool vmdesc_comes(Migration *m, Stream *s)
{
    if (m->rp_send && !stream_buffered(s) &&
        !io_channel_wait_readable(m->channel, VMDESC_WAIT_MS)) {
        return false;
    }
    return stream_more(s);
}

bool loadvm_skip_vmdesc(Migration *m, Stream *s, Error **errp)
{
    uint8_t kind;
    uint32_t len;

    if ((current_machine && current_machine->suppress_vmdesc) || !vmdesc_comes(m, s)) {
        return true;
    }
    kind = stream_get_u8(s);
    if (kind != WIRE_VMDESCRIPTION) {
        warn_report("after the end of the stream: byte 0x%02x instead of a description", kind);
        return true;
    }
    len = stream_get_be32(s);
    if (len > VMDESC_MAX) {
        warn_report("the description of the stream has %u bytes: not read", len);
        return true;
    }
    stream_skip(s, len);
    if (stream_error(s, NULL)) {
        return fail(s, NULL, errp, "the description", stream_offset(s));
    }
    return true;
}
