/*
 * Harness of the qtests: ports, memory, clock and interrupts through the qtest protocol.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>

#include "libqtest-private.h"

enum { BLOCK = 64 * 1024 };

/* Note an IRQ line; false: it is a reply. */
static bool take_irq(QTestState *s, const char *line)
{
    int n;
    char verb[16];

    if (sscanf(line, "IRQ %15s %d", verb, &n) != 2) {
        return false;
    }
    if (n >= 0 && n < IRQ_LINES) {
        s->irq[n] = g_str_equal(verb, "raise");
    }
    return true;
}

static char *reply_to(QTestState *s, const char *command)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    g_assert_true(s->has_qtest);
    put_all(s, s->qtest.fd, command, strlen(command));
    put_all(s, s->qtest.fd, "\n", 1);
    for (;;) {
        char *line = line_get(s, &s->qtest, deadline);
        if (!line) {
            fail(s, "no answer to '%.100s'", command);
        }
        if (!take_irq(s, line)) {
            return line;
        }
        g_free(line);
    }
}

char *qtest_command_raw(QTestState *s, const char *fmt, ...)
{
    g_autofree char *command = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return reply_to(s, command);
}

char **qtest_command(QTestState *s, const char *fmt, ...)
{
    g_autofree char *command = NULL;
    g_autofree char *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = reply_to(s, command);
    if (!g_str_has_prefix(line, "OK")) {
        fail(s, "'%.100s': %s", command, line);
    }
    return g_strsplit(line[2] ? line + 3 : "", " ", -1);
}

static uint64_t value_of(char **words)
{
    g_auto(GStrv) owned G_GNUC_UNUSED = words;

    g_assert_nonnull(words[0]);
    return g_ascii_strtoull(words[0], NULL, 0);
}

#define DEFINE_PORT(suffix, type)                                                      \
    type qtest_in##suffix(QTestState *s, uint16_t port)                                \
    {                                                                                  \
        return (type)value_of(qtest_command(s, "in" #suffix " 0x%x", port));           \
    }                                                                                  \
    void qtest_out##suffix(QTestState *s, uint16_t port, type value)                   \
    {                                                                                  \
        g_strfreev(qtest_command(s, "out" #suffix " 0x%x 0x%x", port, (unsigned)value)); \
    }
DEFINE_PORT(b, uint8_t)
DEFINE_PORT(w, uint16_t)
DEFINE_PORT(l, uint32_t)

#define HEX64 "0x%" G_GINT64_MODIFIER "x"
#define DEFINE_MEMORY(suffix, type)                                                    \
    type qtest_read##suffix(QTestState *s, uint64_t addr)                              \
    {                                                                                  \
        return (type)value_of(qtest_command(s, "read" #suffix " " HEX64, addr));       \
    }                                                                                  \
    void qtest_write##suffix(QTestState *s, uint64_t addr, type value)                 \
    {                                                                                  \
        g_strfreev(qtest_command(s, "write" #suffix " " HEX64 " " HEX64, addr,         \
                                 (uint64_t)value));                                    \
    }
DEFINE_MEMORY(b, uint8_t)
DEFINE_MEMORY(w, uint16_t)
DEFINE_MEMORY(l, uint32_t)
DEFINE_MEMORY(q, uint64_t)

void qtest_memread(QTestState *s, uint64_t addr, void *buf, size_t size)
{
    uint8_t *p = buf;

    while (size > 0) {
        size_t n = MIN(size, BLOCK);
        g_auto(GStrv) w = qtest_command(s, "b64read " HEX64 " %zu", addr, n);
        gsize got;
        g_autofree uint8_t *data = g_base64_decode(w[0], &got);
        g_assert_cmpuint(got, ==, n);
        memcpy(p, data, n);
        p += n;
        addr += n;
        size -= n;
    }
}

void qtest_memwrite(QTestState *s, uint64_t addr, const void *buf, size_t size)
{
    const uint8_t *p = buf;

    while (size > 0) {
        size_t n = MIN(size, BLOCK);
        g_autofree char *data = g_base64_encode(p, n);
        g_strfreev(qtest_command(s, "b64write " HEX64 " %zu %s", addr, n, data));
        p += n;
        addr += n;
        size -= n;
    }
}

void qtest_memset(QTestState *s, uint64_t addr, uint8_t value, size_t size)
{
    while (size > 0) {
        size_t n = MIN(size, 16 * 1024 * 1024);
        g_strfreev(qtest_command(s, "memset " HEX64 " %zu 0x%x", addr, n, value));
        addr += n;
        size -= n;
    }
}

int64_t qtest_clock_step_next(QTestState *s)
{
    return (int64_t)value_of(qtest_command(s, "clock_step"));
}

int64_t qtest_clock_step(QTestState *s, int64_t ns)
{
    return (int64_t)value_of(qtest_command(s, "clock_step %" G_GINT64_FORMAT, ns));
}

int64_t qtest_clock_set(QTestState *s, int64_t ns)
{
    return (int64_t)value_of(qtest_command(s, "clock_set %" G_GINT64_FORMAT, ns));
}

void qtest_irq_intercept_in(QTestState *s, const char *path)
{
    g_strfreev(qtest_command(s, "irq_intercept_in %s", path));
}

void qtest_irq_intercept_out(QTestState *s, const char *path)
{
    g_strfreev(qtest_command(s, "irq_intercept_out %s", path));
}

bool qtest_irq(QTestState *s, int n)
{
    g_assert_cmpint(n, <, IRQ_LINES);
    /* Lines that were sent before now come before this answer. */
    g_strfreev(qtest_command(s, "endianness"));
    return s->irq[n];
}
