/*
 * The qtest server: tests act as CPU and clock through a line protocol (see
 * docs/developer/qtest.md).  Main thread, machine lock.
 *
 * Whatever a test sends, the answer is a line; nothing it sends ends the process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chardev/chardev.h"
#include "hw/core/device.h"
#include "system/address-space.h"
#include "system/clock.h"
#include "system/cmdline-private.h"
#include "util/util.h"

enum {
    LINE_MAX_BYTES = 64 * 1024 * 1024,
    BLOCK_MAX = 64 * 1024 * 1024, /* of read, write, memset at once */
    IRQ_LINES = 256,
};

typedef struct Qtest Qtest;

/* An interrupt line whose changes are told to the test, and then go where they went. */
typedef struct Intercept {
    Qtest *q;
    IRQLine *line, old;
    int n;
} Intercept;

struct Qtest {
    Chardev *chr;
    FILE *log;              /* NULL: none */
    bool log_owned;
    int64_t start_us;
    GString *in;
    bool too_long;          /* the rest of the line is skipped */
    DeviceState *intercepted;
    bool intercepted_in;
    Intercept *intercepts;
    int n_intercepts;
    bool level[IRQ_LINES];
};

static Qtest *server;       /* one at a time */

static void log_line(Qtest *q, const char *kind, const char *text)
{
    if (q->log) {
        int64_t t = g_get_monotonic_time() - q->start_us;
        fprintf(q->log, "[%s +%" G_GINT64_FORMAT ".%06d] %s\n", kind, t / G_USEC_PER_SEC,
                (int)(t % G_USEC_PER_SEC), text);
    }
}

static void send_line(Qtest *q, const char *text)
{
    g_autofree char *line = g_strconcat(text, "\n", NULL);

    log_line(q, "S", text);
    chardev_write(q->chr, line, strlen(line));
}

static void G_GNUC_PRINTF(2, 3) reply(Qtest *q, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    send_line(q, text);
}

/* ---- arguments ---- */

/* Word number i as a number in C syntax; answers FAIL when it is none. */
static bool number(Qtest *q, char **w, int i, uint64_t max, uint64_t *ret)
{
    const char *text = w[i];
    char *end;

    errno = 0;
    *ret = g_ascii_strtoull(text, &end, 0);
    if (!*text || *end || errno || *text == '-' || *ret > max) {
        reply(q, "FAIL argument %d of %s: '%s' is not a number from 0 to %" G_GUINT64_FORMAT, i,
              w[0], text, max);
        return false;
    }
    return true;
}

/* ADDR SIZE at words 1 and 2. */
static bool range(Qtest *q, char **w, uint64_t min, uint64_t *addr, uint64_t *size)
{
    if (!number(q, w, 1, UINT64_MAX, addr) || !number(q, w, 2, BLOCK_MAX, size)) {
        return false;
    }
    if (*size < min || (*size && *addr > UINT64_MAX - (*size - 1))) {
        reply(q, "FAIL %s: no such range: %s %s", w[0], w[1], w[2]);
        return false;
    }
    return true;
}

static unsigned width_of(const char *word)
{
    switch (word[strlen(word) - 1]) {
    case 'b':
        return 1;
    case 'w':
        return 2;
    case 'l':
        return 4;
    default:
        return 8;
    }
}

static uint64_t mask_of(unsigned width)
{
    return width == 8 ? UINT64_MAX : (1ULL << (8 * width)) - 1;
}

/* ---- ports and memory ---- */

static void cmd_out(Qtest *q, char **w, int n)
{
    unsigned width = width_of(w[0]);
    uint64_t port, value;

    if (number(q, w, 1, UINT16_MAX, &port) && number(q, w, 2, UINT64_MAX, &value)) {
        ioport_write((uint16_t)port, (uint32_t)(value & mask_of(width)), width);
        send_line(q, "OK");
    }
}

static void cmd_in(Qtest *q, char **w, int n)
{
    uint64_t port;

    if (number(q, w, 1, UINT16_MAX, &port)) {
        reply(q, "OK 0x%04x", ioport_read((uint16_t)port, width_of(w[0])));
    }
}

static void cmd_write_int(Qtest *q, char **w, int n)
{
    unsigned width = width_of(w[0]);
    uint64_t addr, value;

    if (number(q, w, 1, UINT64_MAX, &addr) && number(q, w, 2, UINT64_MAX, &value)) {
        memory_store(addr, value & mask_of(width), width);
        send_line(q, "OK");
    }
}

static void cmd_read_int(Qtest *q, char **w, int n)
{
    unsigned width = width_of(w[0]);
    uint64_t addr;

    if (number(q, w, 1, UINT64_MAX, &addr)) {
        reply(q, "OK 0x%016" G_GINT64_MODIFIER "x", memory_load(addr, width) & mask_of(width));
    }
}

static void cmd_read(Qtest *q, char **w, int n)
{
    static const char digits[] = "0123456789abcdef";
    g_autofree uint8_t *buf = NULL;
    g_autofree char *text = NULL;
    uint64_t addr, size;

    if (!range(q, w, 1, &addr, &size)) {
        return;
    }
    buf = g_malloc(size);
    text = g_malloc(2 * size + 1);
    memory_read(addr, buf, size);
    for (uint64_t i = 0; i < size; i++) {
        text[2 * i] = digits[buf[i] >> 4];
        text[2 * i + 1] = digits[buf[i] & 15];
    }
    text[2 * size] = '\0';
    reply(q, "OK 0x%s", text);
}

static void cmd_write(Qtest *q, char **w, int n)
{
    g_autofree uint8_t *buf = NULL;
    const char *hex = w[3];
    uint64_t addr, size;
    size_t digits = strlen(hex);

    if (!range(q, w, 0, &addr, &size)) {
        return;
    }
    if (digits < 3 || hex[0] != '0' || (hex[1] | 0x20) != 'x') {
        send_line(q, "ERR invalid argument size");
        return;
    }
    hex += 2;
    digits -= 2;
    buf = g_malloc0(size + 1); /* digits that are missing are zero bytes */
    for (uint64_t i = 0; i < 2 * size && i < digits; i++) {
        int v = g_ascii_xdigit_value(hex[i]);
        if (v < 0) {
            reply(q, "FAIL write: '%c' is not a hexadecimal digit", hex[i]);
            return;
        }
        buf[i / 2] |= (uint8_t)(i % 2 ? v : v << 4);
    }
    memory_write(addr, buf, size);
    send_line(q, "OK");
}

static void cmd_b64read(Qtest *q, char **w, int n)
{
    g_autofree uint8_t *buf = NULL;
    g_autofree char *text = NULL;
    uint64_t addr, size;

    if (range(q, w, 1, &addr, &size)) {
        buf = g_malloc(size);
        memory_read(addr, buf, size);
        text = g_base64_encode(buf, size);
        reply(q, "OK %s", text);
    }
}

static void cmd_b64write(Qtest *q, char **w, int n)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t addr, size;
    gsize len;

    if (!range(q, w, 0, &addr, &size)) {
        return;
    }
    buf = g_base64_decode(w[3], &len);
    if (len == 0 && size) {
        send_line(q, "ERR invalid base64 data");
        return;
    }
    memory_write(addr, buf, MIN(len, size));
    send_line(q, "OK");
}

static void cmd_memset(Qtest *q, char **w, int n)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t addr, size, value;

    if (range(q, w, 0, &addr, &size) && number(q, w, 3, UINT64_MAX, &value)) {
        buf = g_malloc(size + 1);
        memset(buf, (int)(value & 0xff), size);
        memory_write(addr, buf, size);
        send_line(q, "OK");
    }
}

/* ---- interrupts ---- */

static void on_irq(void *opaque, int n, int level)
{
    Intercept *i = opaque;
    Qtest *q = i->q;

    if (i->old.handler) {
        i->old.handler(i->old.opaque, i->old.n, level);
    }
    if (i->n < IRQ_LINES && q->level[i->n] != !!level) {
        q->level[i->n] = !!level;
        reply(q, "IRQ %s %d", level ? "raise" : "lower", i->n);
    }
}

static void hook(Qtest *q, int i, IRQLine *line)
{
    Intercept *t = &q->intercepts[i];

    *t = (Intercept){ q, line, *line, i };
    *line = (IRQLine){ on_irq, t, i };
}

static void unhook_all(Qtest *q)
{
    for (int i = 0; i < q->n_intercepts; i++) {
        *q->intercepts[i].line = q->intercepts[i].old;
    }
    g_clear_pointer(&q->intercepts, g_free);
    q->n_intercepts = 0;
    q->intercepted = NULL;
}

static DeviceState *find_device(Qtest *q, const char *path)
{
    Object *obj = object_resolve(path, NULL);

    if (!obj || !object_is(obj, TYPE_DEVICE)) {
        send_line(q, "FAIL Unknown device");
        return NULL;
    }
    return (DeviceState *)obj;
}

static void cmd_intercept(Qtest *q, char **w, int n)
{
    bool in = g_str_equal(w[0], "irq_intercept_in");
    DeviceState *dev = find_device(q, w[1]);

    if (!dev) {
        return;
    }
    if (n > 2) {
        reply(q, "FAIL there are no named interrupt lines: %s", w[2]);
        return;
    }
    if (q->intercepted) {
        send_line(q, q->intercepted == dev && q->intercepted_in == in
                         ? "OK" : "FAIL IRQ intercept already enabled");
        return;
    }
    q->n_intercepts = in ? dev->n_gpio_in : dev->n_gpio_out;
    q->intercepts = g_new0(Intercept, q->n_intercepts);
    for (int i = 0; i < q->n_intercepts; i++) {
        hook(q, i, in ? &dev->gpio_in[i] : dev->gpio_out[i]);
    }
    q->intercepted = dev;
    q->intercepted_in = in;
    send_line(q, "OK");
}

static void cmd_set_irq_in(Qtest *q, char **w, int n)
{
    DeviceState *dev = find_device(q, w[1]);
    uint64_t nr, level;

    if (!dev) {
        return;
    }
    if (!g_str_equal(w[2], "unnamed-gpio-in")) {
        reply(q, "FAIL there are no interrupt lines called '%s'", w[2]);
        return;
    }
    if (!number(q, w, 3, INT32_MAX, &nr) || !number(q, w, 4, INT32_MAX, &level)) {
        return;
    }
    if (nr >= (uint64_t)dev->n_gpio_in) {
        reply(q, "FAIL device has %d interrupt lines", dev->n_gpio_in);
        return;
    }
    irq_set(&dev->gpio_in[nr], (int)level);
    send_line(q, "OK");
}

/* ---- clock and the rest ---- */

static void cmd_clock_step(Qtest *q, char **w, int n)
{
    int64_t now = virtual_clock_ns(), deadline = virtual_clock_deadline();
    uint64_t ns;

    if (n < 2) {
        ns = deadline > now ? (uint64_t)(deadline - now) : 0;
    } else if (!number(q, w, 1, INT64_MAX - now, &ns)) {
        return;
    }
    reply(q, "OK %" G_GINT64_FORMAT, virtual_clock_warp_to(now + (int64_t)ns));
}

static void cmd_clock_set(Qtest *q, char **w, int n)
{
    uint64_t ns;
    int64_t reached;

    if (number(q, w, 1, INT64_MAX, &ns)) {
        reached = virtual_clock_warp_to((int64_t)ns);
        reply(q, "%s %" G_GINT64_FORMAT, reached == (int64_t)ns ? "OK" : "FAIL", reached);
    }
}

static void cmd_endianness(Qtest *q, char **w, int n)
{
    send_line(q, "OK little");
}

static void cmd_module_load(Qtest *q, char **w, int n)
{
    reply(q, "FAIL there are no modules: %s%s", w[1], w[2]);
}

static void cmd_qom_tests(Qtest *q, char **w, int n)
{
    send_line(q, "OK");
}

typedef struct QtestCommand {
    const char *name;
    int min_args, max_args;
    bool manual_clock;      /* unknown unless the clock is moved by hand */
    void (*run)(Qtest *q, char **w, int n);
} QtestCommand;

static const QtestCommand commands[] = {
    { "outb", 2, 2, false, cmd_out },
    { "outw", 2, 2, false, cmd_out },
    { "outl", 2, 2, false, cmd_out },
    { "inb", 1, 1, false, cmd_in },
    { "inw", 1, 1, false, cmd_in },
    { "inl", 1, 1, false, cmd_in },
    { "writeb", 2, 2, false, cmd_write_int },
    { "writew", 2, 2, false, cmd_write_int },
    { "writel", 2, 2, false, cmd_write_int },
    { "writeq", 2, 2, false, cmd_write_int },
    { "readb", 1, 1, false, cmd_read_int },
    { "readw", 1, 1, false, cmd_read_int },
    { "readl", 1, 1, false, cmd_read_int },
    { "readq", 1, 1, false, cmd_read_int },
    { "read", 2, 2, false, cmd_read },
    { "write", 3, 3, false, cmd_write },
    { "b64read", 2, 2, false, cmd_b64read },
    { "b64write", 3, 3, false, cmd_b64write },
    { "memset", 3, 3, false, cmd_memset },
    { "irq_intercept_in", 1, 1, false, cmd_intercept },
    { "irq_intercept_out", 1, 2, false, cmd_intercept },
    { "set_irq_in", 4, 4, false, cmd_set_irq_in },
    { "clock_step", 0, 1, true, cmd_clock_step },
    { "clock_set", 1, 1, true, cmd_clock_set },
    { "endianness", 0, 0, false, cmd_endianness },
    { "module_load", 2, 2, false, cmd_module_load },
    { "qom-tests", 0, 0, false, cmd_qom_tests },
};

static void run_line(Qtest *q, const char *line)
{
    g_auto(GStrv) words = NULL;
    int n;

    if (!*line || *line == '#') {
        return;
    }
    log_line(q, "R", line);
    words = g_strsplit(line, " ", -1);
    n = (int)g_strv_length(words);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const QtestCommand *c = &commands[i];
        if (!g_str_equal(c->name, words[0]) ||
            (c->manual_clock && !virtual_clock_is_manual())) {
            continue;
        }
        if (n - 1 < c->min_args || n - 1 > c->max_args) {
            reply(q, "FAIL %s takes %d to %d arguments, not %d", c->name, c->min_args,
                  c->max_args, n - 1);
            return;
        }
        c->run(q, words, n);
        return;
    }
    reply(q, "FAIL Unknown command '%s'", words[0]);
}

static void qtest_read(void *opaque, const uint8_t *buf, size_t len)
{
    Qtest *q = opaque;

    while (len > 0) {
        const uint8_t *eol = memchr(buf, '\n', len);
        size_t part = eol ? (size_t)(eol - buf) : len;

        if (!q->too_long && q->in->len + part > LINE_MAX_BYTES) {
            q->too_long = true;
        }
        if (!q->too_long) {
            g_string_append_len(q->in, (const char *)buf, (gssize)part);
        }
        if (!eol) {
            return;
        }
        if (q->too_long) {
            send_line(q, "FAIL the line is longer than 64 MiB");
        } else {
            g_autofree char *line = g_strndup(q->in->str, q->in->len);
            g_string_truncate(q->in, 0);
            run_line(q, line);
        }
        q->too_long = false;
        g_string_truncate(q->in, 0);
        buf += part + 1;
        len -= part + 1;
    }
}

static void qtest_event(void *opaque, ChardevEvent event)
{
    Qtest *q = opaque;

    if (event == CHARDEV_OPENED) {
        memset(q->level, 0, sizeof(q->level));
        g_string_truncate(q->in, 0);
        q->too_long = false;
        log_line(q, "I", "OPENED");
    } else if (event == CHARDEV_CLOSED) {
        log_line(q, "I", "CLOSED");
    }
}

static void qtest_free(Qtest *q)
{
    unhook_all(q);
    chardev_detach(q->chr, q);
    if (q->log_owned) {
        fclose(q->log);
    }
    g_string_free(q->in, TRUE);
    g_free(q);
}

/* log: file, "none", or NULL for stderr. */
static Qtest *qtest_new(Chardev *chr, const char *log, Error **errp)
{
    Qtest *q;
    ChardevHandlers h = { NULL, qtest_read, qtest_event, NULL };

    if (server) {
        error_setg(errp, "there is a qtest server already");
        return NULL;
    }
    q = g_new0(Qtest, 1);
    q->chr = chr;
    q->in = g_string_new(NULL);
    q->start_us = g_get_monotonic_time();
    if (!log) {
        q->log = stderr;
    } else if (!g_str_equal(log, "none")) {
        q->log = fopen(log, "we");
        if (!q->log) {
            error_setg_errno(errp, errno, "cannot write the qtest log '%s'", log);
            g_string_free(q->in, TRUE);
            g_free(q);
            return NULL;
        }
        q->log_owned = true;
        setlinebuf(q->log);
    }
    h.opaque = q;
    if (!chardev_attach(chr, &h, errp)) {
        qtest_free(q);
        return NULL;
    }
    server = q;
    return q;
}

bool qtest_start(const char *chardev, const char *log, Error **errp)
{
    Chardev *chr = chardev_new_from_short("qtest", chardev, errp);

    if (!chr || !qtest_new(chr, log, errp)) {
        error_prefix(errp, "-qtest: ");
        return false;
    }
    return true;
}

void qtest_cleanup(void)
{
    g_clear_pointer(&server, qtest_free);
}

/* ---- -object qtest,id=ID,chardev=ID[,log=FILE] ---- */

typedef struct QtestObject {
    Object obj;
    char *chardev, *log;
    Qtest *q;
} QtestObject;

static bool qtest_object_complete(Object *obj, Error **errp)
{
    QtestObject *o = (QtestObject *)obj;
    Chardev *chr = o->chardev ? chardev_by_id(o->chardev) : NULL;

    if (!chr) {
        error_setg(errp, "qtest: property 'chardev' must name a character device");
        return false;
    }
    o->q = qtest_new(chr, o->log, errp);
    return o->q != NULL;
}

static void qtest_object_finalize(Object *obj)
{
    QtestObject *o = (QtestObject *)obj;

    if (o->q && o->q == server) {
        qtest_cleanup();
    }
}

static const PropertyInfo qtest_props[] = {
    { .name = "chardev", .kind = PROP_STRING, .offset = offsetof(QtestObject, chardev),
      .description = "id of the character device" },
    { .name = "log", .kind = PROP_STRING, .offset = offsetof(QtestObject, log),
      .description = "log file, 'none' for no log" },
    { NULL },
};

static const TypeInfo qtest_type = {
    .name = "qtest",
    .user_creatable = true,
    .instance_size = sizeof(QtestObject),
    .props = qtest_props,
    .complete = qtest_object_complete,
    .finalize = qtest_object_finalize,
    .description = "server of the qtest protocol",
};
TYPE_REGISTER(qtest_type)
