/*
 * Human monitor commands that look at memory, ports and numbers.
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/hmp-internal.h"
#include "monitor/memory-save.h"
#include "system/address-space.h"
#include "target/i386/cpu.h"
#include "util/util.h"

enum { LINE_BYTES = 16, CHAR_LINE_BYTES = 8 };

static uint64_t load_le(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = size; i-- > 0;) {
        v = v << 8 | p[i];
    }
    return v;
}

static int64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(v << shift) >> shift;
}

static void print_char(HmpSession *s, int c)
{
    static const char special[] = "\n\r\t\\'", letter[] = "nrt\\'";
    const char *at = c ? strchr(special, c) : NULL;

    if (at) {
        hmp_printf(s, "'\\%c'", letter[at - special]);
    } else if (c >= 32 && c < 127) {
        hmp_printf(s, "'%c'", c);
    } else {
        hmp_printf(s, "'\\x%02x'", c);
    }
}

/* One value, in columns as wide as the largest of its size. */
static void print_value(HmpSession *s, char format, unsigned size, uint64_t v)
{
    switch (format) {
    case 'o':
        hmp_printf(s, " %#*" G_GINT64_MODIFIER "o", (int)(size * 8 + 2) / 3, v);
        break;
    case 'u':
        hmp_printf(s, " %*" G_GUINT64_FORMAT, (int)(size * 8 * 10 + 32) / 33, v);
        break;
    case 'd':
        hmp_printf(s, " %*" G_GINT64_FORMAT, (int)(size * 8 * 10 + 32) / 33,
                   sign_extend(v, size));
        break;
    case 'c':
        hmp_puts(s, " ");
        print_char(s, v & 0xff);
        break;
    default:
        hmp_printf(s, " 0x%0*" G_GINT64_MODIFIER "x", (int)size * 2, v);
        break;
    }
}

/* The format letter: the one given, else the one of the command before. */
static char format_of(HmpSession *s, JsonObject *args)
{
    const char *fmt = hmp_arg_str(args, "format");

    s->format = fmt ? *fmt : s->format ? s->format : 'x';
    return s->format;
}

/* cpu NULL: physical addresses. */
static void dump(HmpSession *s, CPUState *cpu, uint64_t addr, JsonObject *args)
{
    char format = format_of(s, args);
    unsigned size = hmp_arg_int(args, "size", format == 'c' ? 1 : s->size ? s->size : 4);
    uint64_t left = hmp_arg_int(args, "count", 1) * size;
    unsigned per_line = format == 'c' ? CHAR_LINE_BYTES : LINE_BYTES;

    s->size = size;
    while (left) {
        uint8_t buf[LINE_BYTES];
        unsigned n = MIN(left, per_line);

        hmp_printf(s, "%016" G_GINT64_MODIFIER "x:", addr);
        if (!(cpu ? memory_read_virtual(cpu, addr, buf, n) : memory_read(addr, buf, n))) {
            hmp_puts(s, " Cannot access memory\n");
            return;
        }
        for (unsigned i = 0; i + size <= n; i += size) {
            print_value(s, format, size, load_le(buf + i, size));
        }
        hmp_puts(s, "\n");
        addr += n;
        left -= n;
    }
}

static void cmd_x(HmpSession *s, JsonObject *args)
{
    CPUState *cpu = hmp_cpu(s);

    if (!cpu) {
        hmp_puts(s, "Can not dump without CPU\n");
        return;
    }
    dump(s, cpu, hmp_arg_int(args, "addr", 0), args);
}

static void cmd_xp(HmpSession *s, JsonObject *args)
{
    dump(s, NULL, hmp_arg_int(args, "addr", 0), args);
}

static void cmd_print(HmpSession *s, JsonObject *args)
{
    uint64_t v = hmp_arg_int(args, "val", 0);

    switch (format_of(s, args)) {
    case 'o':
        hmp_printf(s, "%#" G_GINT64_MODIFIER "o", v);
        break;
    case 'x':
        hmp_printf(s, "%#" G_GINT64_MODIFIER "x", v);
        break;
    case 'u':
        hmp_printf(s, "%" G_GUINT64_FORMAT, v);
        break;
    case 'c':
        print_char(s, v & 0xff);
        break;
    default:
        hmp_printf(s, "%" G_GINT64_FORMAT, (int64_t)v);
        break;
    }
    hmp_puts(s, "\n");
}

/* 16-bit sum, rotated right before each byte. */
static void cmd_sum(HmpSession *s, JsonObject *args)
{
    uint64_t addr = hmp_arg_int(args, "start", 0), left = (uint32_t)hmp_arg_int(args, "size", 0);
    uint16_t sum = 0;

    while (left) {
        uint8_t buf[4096];
        uint64_t n = MIN(left, sizeof(buf));

        if (!memory_read(addr, buf, n)) {
            hmp_puts(s, "Cannot access memory\n");
            return;
        }
        for (uint64_t i = 0; i < n; i++) {
            sum = (uint16_t)(sum >> 1 | sum << 15);
            sum += buf[i];
        }
        addr += n;
        left -= n;
    }
    hmp_printf(s, "%05u\n", sum);
}

static unsigned port_size(JsonObject *args)
{
    return MIN(hmp_arg_int(args, "size", 4), 4);
}

static char port_suffix(unsigned size)
{
    return size == 1 ? 'b' : size == 2 ? 'w' : 'l';
}

static void cmd_i(HmpSession *s, JsonObject *args)
{
    uint16_t port = hmp_arg_int(args, "addr", 0);
    unsigned size = port_size(args);

    if (json_object_has_member(args, "index")) {
        ioport_write(port++, hmp_arg_int(args, "index", 0) & 0xff, 1);
    }
    hmp_printf(s, "port%c[0x%04x] = 0x%0*x\n", port_suffix(size), port, (int)size * 2,
               ioport_read(port, size));
}

static void cmd_o(HmpSession *s, JsonObject *args)
{
    ioport_write(hmp_arg_int(args, "addr", 0), hmp_arg_int(args, "val", 0), port_size(args));
}

static void cmd_gpa2hva(HmpSession *s, JsonObject *args)
{
    uint64_t addr = hmp_arg_int(args, "addr", 0);
    const RamRegion *r = memory_find_ram(addr);

    if (!r) {
        hmp_printf(s, "Error: No memory is mapped at address 0x%" G_GINT64_MODIFIER "x\n", addr);
        return;
    }
    hmp_printf(s, "Host virtual address for 0x%" G_GINT64_MODIFIER "x (%s) is %p\n", addr,
               r->rb->idstr, (void *)(r->rb->host + r->rb_offset + (addr - r->gpa)));
}

static void cmd_gva2gpa(HmpSession *s, JsonObject *args)
{
    uint64_t addr = hmp_arg_int(args, "addr", 0), gpa;
    CPUState *cpu = hmp_cpu(s);

    if (!cpu) {
        hmp_puts(s, "No cpu\n");
        return;
    }
    cpu_synchronize_state(cpu);
    if (x86_cpu_translate(X86_CPU(cpu), addr, &gpa)) {
        hmp_printf(s, "gpa: %#" G_GINT64_MODIFIER "x\n", gpa);
    } else {
        hmp_puts(s, "Unmapped\n");
    }
}

static const HmpCommand memory_commands[] = {
    { "x", "fmt:/,addr:l", "/fmt addr", "show memory as the CPU sees it", cmd_x },
    { "xp", "fmt:/,addr:l", "/fmt addr", "show physical memory", cmd_xp },
    { "print|p", "fmt:/,val:l", "/fmt expr", "show the value of an expression", cmd_print },
    { "sum", "start:l,size:i", "addr size", "checksum of physical memory", cmd_sum },
    { "i", "fmt:/,addr:i,index:i?", "/fmt addr [index]", "read an I/O port", cmd_i },
    { "o", "fmt:/,addr:i,val:i", "/fmt addr value", "write an I/O port", cmd_o },
    { "gpa2hva", "addr:l", "addr", "host address of a guest-physical one", cmd_gpa2hva },
    { "gva2gpa", "addr:l", "addr", "guest-physical address of a guest-virtual one", cmd_gva2gpa },
    { NULL },
};
HMP_COMMANDS(memory_commands)
