/*
 * Integer expressions of the human monitor.  Main thread, machine lock (registers).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/hmp-internal.h"
#include "target/i386/cpu.h"

enum { MAX_DEPTH = 64 };

typedef struct Expr {
    HmpSession *s;
    const char *p;
    int depth;
} Expr;

static bool parse_or(Expr *e, uint64_t *ret, Error **errp);

static void skip_space(Expr *e)
{
    while (g_ascii_isspace(*e->p)) {
        e->p++;
    }
}

static bool register_value(HmpSession *s, const char *name, uint64_t *ret, Error **errp)
{
    static const char *const regs[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    static const char *const segs[] = { "es", "cs", "ss", "ds", "fs", "gs" };
    CPUState *cs = hmp_cpu(s);

    if (!cs) {
        error_setg(errp, "the machine has no CPU to read registers from");
        return false;
    }
    cpu_synchronize_state(cs);
    const CPUX86State *env = &X86_CPU(cs)->env;
    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        if (!strcmp(name, regs[i])) {
            *ret = env->regs[i];
            return true;
        }
        /* eax, r8d's short form is not a name of its own */
        if (i < 8 && name[0] == 'e' && !strcmp(name + 1, regs[i] + 1)) {
            *ret = (uint32_t)env->regs[i];
            return true;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(segs); i++) {
        if (!strcmp(name, segs[i])) {
            *ret = env->segs[i].selector;
            return true;
        }
    }
    if (!strcmp(name, "pc")) {
        *ret = env->eip + env->segs[R_CS].base;
    } else if (!strcmp(name, "eip") || !strcmp(name, "rip")) {
        *ret = env->eip;
    } else if (!strcmp(name, "eflags")) {
        *ret = env->eflags;
    } else if (!strcmp(name, "cr0") || !strcmp(name, "cr2") || !strcmp(name, "cr3") ||
               !strcmp(name, "cr4")) {
        *ret = env->cr[name[2] - '0'];
    } else {
        error_setg(errp, "unknown register '$%s'", name);
        return false;
    }
    return true;
}

static bool parse_register(Expr *e, uint64_t *ret, Error **errp)
{
    const char *start = ++e->p;

    while (g_ascii_isalnum(*e->p) || *e->p == '_') {
        e->p++;
    }
    g_autofree char *name = g_strndup(start, e->p - start);
    return register_value(e->s, name, ret, errp);
}

static bool parse_number(Expr *e, uint64_t *ret, Error **errp)
{
    char *end;

    errno = 0;
    *ret = g_ascii_strtoull(e->p, &end, 0);
    if (end == e->p) {
        error_setg(errp, *e->p ? "invalid char '%c' in expression" : "unexpected end of expression",
                   *e->p);
        return false;
    }
    if (errno) {
        error_setg(errp, "number too large");
        return false;
    }
    e->p = end;
    return true;
}

static bool parse_unary(Expr *e, uint64_t *ret, Error **errp)
{
    bool ok = false;

    skip_space(e);
    if (++e->depth > MAX_DEPTH) {
        error_setg(errp, "expression is nested too deeply");
        return false;
    }
    switch (*e->p) {
    case '+':
        e->p++;
        ok = parse_unary(e, ret, errp);
        break;
    case '-':
    case '~': {
        bool minus = *e->p++ == '-';
        ok = parse_unary(e, ret, errp);
        *ret = minus ? -*ret : ~*ret;
        break;
    }
    case '(':
        e->p++;
        ok = parse_or(e, ret, errp);
        skip_space(e);
        if (ok && *e->p != ')') {
            error_setg(errp, "')' expected");
            ok = false;
        } else if (ok) {
            e->p++;
        }
        break;
    case '\'':
        if (!e->p[1] || e->p[2] != '\'') {
            error_setg(errp, "missing terminating ' character");
            break;
        }
        *ret = (unsigned char)e->p[1];
        e->p += 3;
        ok = true;
        break;
    case '$':
        ok = parse_register(e, ret, errp);
        break;
    default:
        ok = parse_number(e, ret, errp);
        break;
    }
    e->depth--;
    return ok;
}

static bool parse_product(Expr *e, uint64_t *ret, Error **errp)
{
    if (!parse_unary(e, ret, errp)) {
        return false;
    }
    for (;;) {
        uint64_t v = 0;
        char op;

        skip_space(e);
        op = *e->p;
        if (op != '*' && op != '/' && op != '%') {
            return true;
        }
        e->p++;
        if (!parse_unary(e, &v, errp)) {
            return false;
        }
        if (op != '*' && !v) {
            error_setg(errp, "division by zero");
            return false;
        }
        *ret = op == '*' ? *ret * v : op == '/' ? *ret / v : *ret % v;
    }
}

static bool parse_sum(Expr *e, uint64_t *ret, Error **errp)
{
    if (!parse_product(e, ret, errp)) {
        return false;
    }
    for (;;) {
        uint64_t v = 0;
        char op;

        skip_space(e);
        op = *e->p;
        if (op != '+' && op != '-') {
            return true;
        }
        e->p++;
        if (!parse_product(e, &v, errp)) {
            return false;
        }
        *ret = op == '+' ? *ret + v : *ret - v;
    }
}

/* & | ^, all of one rank. */
static bool parse_or(Expr *e, uint64_t *ret, Error **errp)
{
    if (!parse_sum(e, ret, errp)) {
        return false;
    }
    for (;;) {
        uint64_t v = 0;
        char op;

        skip_space(e);
        op = *e->p;
        if (op != '&' && op != '|' && op != '^') {
            return true;
        }
        e->p++;
        if (!parse_sum(e, &v, errp)) {
            return false;
        }
        *ret = op == '&' ? (*ret & v) : op == '|' ? (*ret | v) : (*ret ^ v);
    }
}

bool hmp_expression(HmpSession *s, const char **p, int64_t *ret, Error **errp)
{
    Expr e = { s, *p, 0 };
    uint64_t v = 0;

    if (!parse_or(&e, &v, errp)) {
        return false;
    }
    *ret = v;
    *p = e.p;
    return true;
}
