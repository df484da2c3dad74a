/*
 * Machines with the running test guest, and moves of it.  One thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOW_START (2ULL << 20)

bool guest_skip_accel(const char *accel)
{
    if (!strcmp(accel, "kvm") && !qtest_have_kvm()) {
        g_test_skip("there is no /dev/kvm");
        return true;
    }
    return false;
}

/* ---- start and end ---- */

/* The image with the parameters in it; a disk holds whole MiB. */
static void write_image(const GuestParams *p, const char *path)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *image = NULL;
    const char *template = g_getenv("FERRY_GUEST_IMAGE");
    size_t size;

    if (!template || !g_file_get_contents(template, &image, &size, &err)) {
        g_error("FERRY_GUEST_IMAGE: the guest's image: %s", err ? err->message : "not set");
    }
    image = g_realloc(image, 1 << 20);
    memset(image + size, 0, (1 << 20) - size);
    memcpy(image + GUEST_IMAGE_PARAMS, p, sizeof(*p));
    if (!g_file_set_contents(path, image, 1 << 20, &err)) {
        g_error("%s", err->message);
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpuint(strlen(path), <, sizeof(a.sun_path));
    strcpy(a.sun_path, path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

static GuestVm *start(const GuestConfig *c, const char *more)
{
    bool kvm = !strcmp(c->accel, "kvm");
    unsigned mib = c->mib ? c->mib : kvm ? 32 : 24;
    GuestVm *vm = g_new0(GuestVm, 1);
    g_autofree char *image = NULL;
    g_autofree char *serial = NULL;
    g_autofree char *memory = c->memory ? g_strdup(c->memory) : g_strdup_printf("-m %uM", mib);
    int listener;

    vm->dir = g_dir_make_tmp("ferry-guest-XXXXXX", NULL);
    g_assert_nonnull(vm->dir);
    vm->printed = g_string_new(NULL);
    vm->events = g_string_new(NULL);
    vm->params = (GuestParams){
        .magic = GUEST_PARAMS_MAGIC, .version = 1, .mode = GUEST_RANDOM, .low_start = LOW_START,
        .low_bytes = ((uint64_t)mib << 20) - LOW_START, .seed = 5, .zero_percent = 20,
        .repeat_percent = 10, .interval = c->interval, .flags = GUEST_QUIET, .cpus = c->cpus,
    };
    image = g_build_filename(vm->dir, "disk", NULL);
    serial = g_build_filename(vm->dir, "serial", NULL);
    write_image(&vm->params, image);
    listener = listen_at(serial);
    vm->s = qtest_init_qmp("-machine %s -accel %s %s -smp %u -nodefaults -no-user-config "
                           "-chardev socket,id=com1,path=%s -serial chardev:com1 "
                           "-drive if=none,id=d,file=%s,format=raw "
                           "-device ide-hd,drive=d,bus=ide.0,unit=0 %s %s",
                           c->machine ? c->machine : "q35", c->accel, memory,
                           c->cpus ? c->cpus : 1, serial, image, c->args ? c->args : "", more);
    vm->serial = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(vm->serial, >=, 0);
    close(listener);
    return vm;
}

GuestVm *guest_start(const GuestConfig *config)
{
    GuestVm *vm = start(config, "");

    guest_wait_print(vm, 'R');
    return vm;
}

GuestVm *guest_start_incoming(const GuestConfig *config)
{
    return start(config, "-incoming defer");
}

static void free_vm(GuestVm *vm)
{
    g_autoptr(GDir) d = g_dir_open(vm->dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(vm->dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(vm->dir);
    close(vm->serial);
    g_free(vm->dir);
    g_string_free(vm->printed, TRUE);
    g_string_free(vm->events, TRUE);
    g_free(vm);
}

void guest_quit(GuestVm *vm)
{
    qtest_quit(vm->s);
    free_vm(vm);
}

void guest_kill(GuestVm *vm)
{
    qtest_kill(vm->s);
    free_vm(vm);
}

/* ---- the guest ---- */

static void report_guest_error(GuestVm *vm)
{
    GuestStatus st;

    guest_status(vm, &st);
    g_error("the guest found %#" PRIx64 " in place of %#" PRIx64 " at %#" PRIx64, st.error_got,
            st.error_expected, st.error_address);
}

void guest_wait_print(GuestVm *vm, char c)
{
    int64_t deadline = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    for (;;) {
        char *at = memchr(vm->printed->str, c, vm->printed->len);
        struct pollfd p = { .fd = vm->serial, .events = POLLIN };
        char buf[256];

        if (at) {
            g_string_erase(vm->printed, 0, at - vm->printed->str + 1);
            return;
        }
        if (strchr(vm->printed->str, 'E')) {
            report_guest_error(vm);
        }
        if (g_get_monotonic_time() > deadline || !qtest_is_running(vm->s)) {
            g_autofree char *err = qtest_stderr(vm->s);
            g_error("the guest did not print '%c', but \"%s\"; the emulator: %s %s", c,
                    vm->printed->str, qtest_is_running(vm->s) ? "runs" : "ended", err);
        }
        if (poll(&p, 1, 100) > 0) {
            ssize_t n = read(vm->serial, buf, sizeof(buf));
            g_string_append_len(vm->printed, buf, MAX(n, 0));
        }
    }
}

void guest_send(GuestVm *vm, char c)
{
    g_assert_cmpint(send(vm->serial, &c, 1, MSG_NOSIGNAL), ==, 1);
}

/* Guest memory as a file; g_free(). */
static char *read_memory(GuestVm *vm, uint64_t addr, uint64_t size)
{
    g_autofree char *path = g_build_filename(vm->dir, "memory", NULL);
    g_autoptr(GError) err = NULL;
    char *data;
    size_t got;

    qtest_qmp_ok(vm->s, "pmemsave", "{'val': %" PRIu64 ", 'size': %" PRIu64 ", 'filename': '%s'}",
                 addr, size, path);
    if (!g_file_get_contents(path, &data, &got, &err)) {
        g_error("%s", err->message);
    }
    g_unlink(path);
    g_assert_cmpuint(got, ==, size);
    return data;
}

void guest_status(GuestVm *vm, GuestStatus *status)
{
    g_autofree char *data = read_memory(vm, GUEST_STATUS_ADDRESS, sizeof(*status));

    memcpy(status, data, sizeof(*status));
    g_assert_cmphex(status->magic, ==, GUEST_STATUS_MAGIC);
}

void guest_cpu(GuestVm *vm, unsigned n, GuestCpu *cpu)
{
    g_autofree char *data = read_memory(vm, GUEST_CPUS_ADDRESS + n * sizeof(*cpu), sizeof(*cpu));

    memcpy(cpu, data, sizeof(*cpu));
}

void guest_wait_progress(GuestVm *vm)
{
    int64_t deadline = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;
    GuestStatus first, now;

    guest_status(vm, &first);
    do {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(5000);
        guest_status(vm, &now);
        g_assert_cmpuint(now.errors, ==, 0);
    } while (now.visits < first.visits + 100);
}

/* Sum of the checks of all pages, each of which must be right. */
static uint64_t digest_memory(GuestVm *vm)
{
    const GuestParams *p = &vm->params;
    g_autofree char *data = read_memory(vm, p->low_start, p->low_bytes);
    uint64_t digest = 0;

    for (uint64_t i = 0; i < p->low_bytes / GUEST_PAGE; i++) {
        uint64_t page = p->low_start / GUEST_PAGE + i, *w = (uint64_t *)(data + i * GUEST_PAGE);

        if (guest_page_kind(p, page) == GUEST_PAGE_ZERO) {
            for (unsigned j = 0; j < GUEST_PAGE / 8; j++) {
                g_assert_cmphex(w[j], ==, 0);
            }
            continue;
        }
        g_assert_cmphex(w[0], ==, page);
        g_assert_cmphex(w[2], ==, guest_mix(page, w[1]));
        g_assert_cmphex(w[GUEST_PAGE / 8 - 1], ==, w[1]);
        digest += w[2];
    }
    return digest;
}

void guest_verify(GuestVm *vm)
{
    GuestStatus st;

    guest_send(vm, 'f');
    guest_wait_print(vm, 'F');
    guest_status(vm, &st);
    g_assert_cmpuint(st.state, ==, GUEST_FROZEN);
    g_assert_cmpuint(st.errors, ==, 0);
    g_assert_cmphex(st.digest, ==, digest_memory(vm));
    guest_send(vm, 'g');
    guest_wait_print(vm, 'G');
    guest_wait_progress(vm);
}

/* ---- settings ---- */

void mig_set_caps(GuestVm *vm, ...)
{
    va_list ap;
    const char *name;

    va_start(ap, vm);
    qtest_qmp_ok(vm->s, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': 'events', 'state': true}]}");
    while ((name = va_arg(ap, const char *))) {
        qtest_qmp_ok(vm->s, "migrate-set-capabilities",
                     "{'capabilities': [{'capability': '%s', 'state': true}]}", name);
    }
    va_end(ap);
}

void mig_set_parameter(GuestVm *vm, const char *name, int64_t value)
{
    qtest_qmp_ok(vm->s, "migrate-set-parameters", "{'%s': %" PRId64 "}", name, value);
}

void mig_set_limits(GuestVm *vm, int64_t bandwidth, int64_t downtime)
{
    mig_set_parameter(vm, "max-bandwidth", bandwidth);
    mig_set_parameter(vm, "downtime-limit", downtime);
}

/* ---- channels ---- */

/* Argument of migrate and migrate-incoming; `detail` is a path, port, name, or command. */
static char *address(MigChannel channel, bool structured, const char *detail)
{
    static const struct {
        const char *uri, *addr;
    } forms[MIG_CHANNELS] = {
        [MIG_UNIX] = { "unix:%s", "'transport': 'socket', 'type': 'unix', 'path': '%s'" },
        [MIG_TCP] = { "tcp:127.0.0.1:%s", "'transport': 'socket', 'type': 'inet', "
                                          "'host': '127.0.0.1', 'port': '%s'" },
        [MIG_FD] = { "fd:%s", "'transport': 'socket', 'type': 'fd', 'str': '%s'" },
        [MIG_FD_NUMBER] = { "fd:%s", "'transport': 'socket', 'type': 'fd', 'str': '%s'" },
        [MIG_EXEC] = { "exec:%s", "'transport': 'exec', 'args': ['/bin/sh', '-c', '%s']" },
        [MIG_EXEC_TWO_WAY] = { "exec:%s", NULL },
        [MIG_FILE] = { "file:%s", "'transport': 'file', 'filename': '%s', 'offset': 0" },
    };
    const char *form = structured ? forms[channel].addr : forms[channel].uri;
    g_auto(GStrv) parts = g_strsplit(form, "%s", 2);
    g_autofree char *text = g_strconcat(parts[0], detail, parts[1], NULL);

    return structured ? g_strdup_printf("'channels': [{'channel-type': 'main', 'addr': {%s}}]", text)
                      : g_strdup_printf("'uri': '%s'", text);
}

static void listen_on(GuestVm *to, MigChannel channel, bool structured, const char *detail)
{
    g_autofree char *a = address(channel, structured, detail);

    g_string_truncate(to->events, 0);
    qtest_qmp_ok(to->s, "migrate-incoming", "{%s}", a);
}

static void connect_to(GuestVm *from, MigChannel channel, bool structured, const char *detail)
{
    g_autofree char *a = address(channel, structured, detail);

    g_string_truncate(from->events, 0);
    qtest_qmp_ok(from->s, "migrate", "{%s}", a);
}

static char *listening_port(GuestVm *to)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(to->s, "query-migrate", NULL);
    JsonArray *list = json_object_get_array_member(info, "socket-address");

    return g_strdup(json_object_get_string_member(json_array_get_object_element(list, 0), "port"));
}

/* The two ends of a socket pair, handed over as "mig". */
static void give_sockets(GuestVm *from, GuestVm *to)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    json_node_unref(qtest_qmp_fd(from->s, fds[0], "getfd", "{'fdname': 'mig'}"));
    json_node_unref(qtest_qmp_fd(to->s, fds[1], "getfd", "{'fdname': 'mig'}"));
    close(fds[0]);
    close(fds[1]);
}

/* The destination's end goes through add-fd, which gives it a number. */
static char *give_numbered(GuestVm *from, GuestVm *to)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    json_node_unref(qtest_qmp_fd(from->s, fds[0], "getfd", "{'fdname': 'mig'}"));
    g_autoptr(JsonNode) r = qtest_qmp_fd(to->s, fds[1], "add-fd", NULL);
    close(fds[0]);
    close(fds[1]);
    return g_strdup_printf("%" PRId64, (int64_t)json_object_get_int_member(
                                           json_node_get_object(r), "fd"));
}

/* Commands of two shells that meet at a FIFO; for both directions at two. */
static void start_exec(GuestVm *from, GuestVm *to, bool both, bool structured)
{
    g_autofree char *fifo = g_build_filename(to->dir, "fifo", NULL);
    g_autofree char *back = g_build_filename(to->dir, "back", NULL);
    g_autofree char *get = both ? g_strdup_printf("cat %s & exec cat > %s", fifo, back)
                                : g_strdup_printf("cat %s", fifo);
    g_autofree char *put = both ? g_strdup_printf("cat %s & exec cat > %s", back, fifo)
                                : g_strdup_printf("cat > %s", fifo);

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(mkfifo(back, 0600), ==, 0);
    listen_on(to, MIG_EXEC, structured, get);
    connect_to(from, MIG_EXEC, structured, put);
}

static void start_file(GuestVm *from, GuestVm *to, bool structured)
{
    g_autofree char *path = g_build_filename(to->dir, "saved", NULL);

    connect_to(from, MIG_FILE, structured, path);
    mig_wait_status(from, "completed");
    listen_on(to, MIG_FILE, structured, path);
}

void mig_start(GuestVm *from, GuestVm *to, MigChannel channel, bool structured)
{
    g_autofree char *path = g_build_filename(to->dir, "socket", NULL);
    g_autofree char *detail = NULL;

    switch (channel) {
    case MIG_UNIX:
        listen_on(to, channel, structured, path);
        connect_to(from, channel, structured, path);
        break;
    case MIG_TCP:
        listen_on(to, channel, structured, "0");
        detail = listening_port(to);
        connect_to(from, channel, structured, detail);
        break;
    case MIG_FD:
        give_sockets(from, to);
        listen_on(to, channel, structured, "mig");
        connect_to(from, channel, structured, "mig");
        break;
    case MIG_FD_NUMBER:
        detail = give_numbered(from, to);
        listen_on(to, channel, structured, detail);
        connect_to(from, MIG_FD, structured, "mig");
        break;
    case MIG_EXEC:
    case MIG_EXEC_TWO_WAY:
        start_exec(from, to, channel == MIG_EXEC_TWO_WAY, structured);
        break;
    case MIG_FILE:
        start_file(from, to, structured);
        break;
    default:
        g_assert_not_reached();
    }
}

/* ---- waiting ---- */

/* Note an event; its status if it is one of a migration. */
static const char *note_event(GuestVm *vm, JsonObject *e)
{
    const char *name = json_object_get_string_member(e, "event"), *status = NULL;

    if (!strcmp(name, "MIGRATION")) {
        JsonObject *data = json_object_get_object_member(e, "data");
        name = status = json_object_get_string_member(data, "status");
    } else if (!strcmp(name, "MIGRATION_PASS")) {
        name = "PASS";
        if (g_str_has_suffix(vm->events->str, "PASS")) {
            return NULL;
        }
    }
    g_string_append_printf(vm->events, "%s%s", vm->events->len ? " " : "", name);
    return status;
}

void mig_wait_status(GuestVm *vm, const char *status)
{
    int64_t deadline = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    for (;;) {
        g_autoptr(JsonObject) e = qtest_event_poll(vm->s, NULL, 200);
        const char *now = e ? note_event(vm, e) : NULL;

        if (now && !strcmp(now, status)) {
            return;
        }
        if (g_get_monotonic_time() > deadline ||
            (now && (!strcmp(now, "failed") || !strcmp(now, "postcopy-paused")))) {
            g_autofree char *why = mig_info_string(vm, "error-desc");
            g_autofree char *err = qtest_stderr(vm->s);
            g_error("no status %s; events were: %s; error: %s; stderr: %s", status,
                    vm->events->str, why, err);
        }
    }
}

void mig_collect(GuestVm *vm, unsigned ms)
{
    int64_t deadline = g_get_monotonic_time() + ms * 1000;
    int64_t left;

    while ((left = deadline - g_get_monotonic_time()) > 0) {
        g_autoptr(JsonObject) e = qtest_event_poll(vm->s, NULL, (unsigned)(left / 1000) + 1);
        if (e) {
            note_event(vm, e);
        }
    }
}

int64_t mig_ram_stat(GuestVm *vm, const char *name)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(vm->s, "query-migrate", NULL);

    if (!json_object_has_member(info, "ram")) {
        return 0;
    }
    return json_object_get_int_member(json_object_get_object_member(info, "ram"), name);
}

char *mig_info_string(GuestVm *vm, const char *name)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(vm->s, "query-migrate", NULL);

    return g_strdup(json_object_get_string_member_with_default(info, name, ""));
}

/* ---- moves ---- */

void mig_hold(GuestVm *from)
{
    mig_set_caps(from, "return-path", "switchover-ack", NULL);
}

void mig_let_go(GuestVm *from, GuestVm *to)
{
    qtest_qmp_ok(from->s, "stop", NULL);
    mig_wait_status(from, "completed");
    mig_wait_status(to, "completed");
    qtest_qmp_ok(to->s, "cont", NULL);
}

void mig_precopy(GuestVm *from, GuestVm *to, MigChannel channel, bool structured)
{
    mig_set_caps(from, NULL);
    mig_set_caps(to, NULL);
    mig_set_limits(from, 0, 2000);
    mig_start(from, to, channel, structured);
    if (channel != MIG_FILE) {
        mig_wait_status(from, "completed");
    }
    mig_wait_status(to, "completed");
}

void mig_postcopy(GuestVm *from, GuestVm *to, MigChannel channel, bool structured)
{
    mig_postcopy_requests(from, to, channel, structured, 20);
}

void mig_postcopy_requests(GuestVm *from, GuestVm *to, MigChannel channel, bool structured,
                           int64_t requests)
{
    int64_t deadline = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    mig_set_caps(from, "postcopy-ram", NULL);
    mig_set_caps(to, "postcopy-ram", NULL);
    mig_set_limits(from, 8 << 20, 1);
    mig_set_parameter(from, "max-postcopy-bandwidth", 4 << 20);
    mig_start(from, to, channel, structured);
    mig_wait_status(from, "active");
    while (mig_ram_stat(from, "transferred") < 256 * 1024) {
        g_usleep(2000);
    }
    qtest_qmp_ok(from->s, "migrate-start-postcopy", NULL);
    mig_wait_status(from, "postcopy-active");
    while (mig_ram_stat(from, "postcopy-requests") < requests) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(2000);
    }
    mig_set_parameter(from, "max-postcopy-bandwidth", 0);
    mig_wait_status(from, "completed");
    mig_wait_status(to, "completed");
}
