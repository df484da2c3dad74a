/*
 * The -cpu argument after the model: features switched on or off, and properties.
 *
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "cpu-internal.h"
#include "util/log.h"
#include "util/util.h"

typedef struct ParseState {
    X86CPU *cpu;
    bool check, enforce;
    bool host_phys_bits;
} ParseState;

static bool parse_onoff(const char *name, const char *value, bool *ret, Error **errp)
{
    if (!parse_bool(value, ret)) {
        error_setg(errp, "CPU property '%s=%s': must be on or off", name, value);
        return false;
    }
    return true;
}

static bool parse_number(const char *name, const char *value, uint64_t max, uint64_t *ret,
                         Error **errp)
{
    if (!parse_u64(value, ret) || *ret > max) {
        error_setg(errp, "CPU property '%s=%s': must be a number up to %" G_GUINT64_FORMAT, name,
                   value, max);
        return false;
    }
    return true;
}

/* family, model, stepping: fields of leaf 1 eax. */
static void set_version_field(X86CPU *cpu, const char *name, unsigned n)
{
    uint32_t v = cpu->version;

    if (!strcmp(name, "family")) {
        v &= ~0x0ff00f00u;
        v |= n > 15 ? 15u << 8 | (n - 15) << 20 : n << 8;
    } else if (!strcmp(name, "model")) {
        v = (v & ~0x000f00f0u) | (n & 15) << 4 | (n >> 4) << 16;
    } else {
        v = (v & ~15u) | n;
    }
    cpu->version = v;
}

/* Numeric properties. */
static bool set_number(ParseState *p, const char *name, const char *value, bool *ret_known,
                       Error **errp)
{
    static const struct { const char *name; uint64_t max; } rows[] = {
        { "family", 270 }, { "model", 255 }, { "stepping", 15 }, { "level", 0x1f },
        { "xlevel", 0x8000001f }, { "phys-bits", 52 }, { "tsc-frequency", 1ULL << 40 },
    };
    uint64_t n;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(name, rows[i].name)) {
            continue;
        }
        *ret_known = true;
        if (!parse_number(name, value, rows[i].max, &n, errp)) {
            return false;
        }
        switch (i) {
        case 3:
            p->cpu->level = n;
            break;
        case 4:
            p->cpu->xlevel = n;
            break;
        case 5:
            if (n && (n < 32)) {
                error_setg(errp, "CPU property 'phys-bits=%s': must be 32 to 52", value);
                return false;
            }
            p->cpu->phys_bits = n ? n : p->cpu->phys_bits;
            break;
        case 6:
            p->cpu->tsc_khz_user = n / 1000;
            break;
        default:
            set_version_field(p->cpu, name, n);
        }
        return true;
    }
    return true;
}

/* Text properties. */
static bool set_text(ParseState *p, const char *name, const char *value, bool *ret_known,
                     Error **errp)
{
    X86CPU *cpu = p->cpu;

    if (!strcmp(name, "vendor")) {
        *ret_known = true;
        if (strlen(value) != 12) {
            error_setg(errp, "CPU property 'vendor=%s': must have 12 characters", value);
            return false;
        }
        memcpy(&cpu->vendor_ebx, value, 4);
        memcpy(&cpu->vendor_edx, value + 4, 4);
        memcpy(&cpu->vendor_ecx, value + 8, 4);
    } else if (!strcmp(name, "model-id")) {
        *ret_known = true;
        memset(cpu->model_id, 0, sizeof(cpu->model_id));
        memcpy(cpu->model_id, value, MIN(strlen(value), sizeof(cpu->model_id)));
    }
    return true;
}

/* Switches; those whose other value is not supported say so. */
static bool set_switch(ParseState *p, const char *name, const char *value, bool *ret_known,
                       Error **errp)
{
    X86CPU *cpu = p->cpu;
    bool ignored;
    const struct { const char *name; bool *field; } rows[] = {
        { "check", &p->check }, { "enforce", &p->enforce }, { "kvm", &cpu->expose_kvm },
        { "l3-cache", &cpu->l3_cache }, { "host-phys-bits", &p->host_phys_bits },
        { "migratable", &cpu->migratable }, { "legacy-cache", &ignored },
        { "fill-mtrr-mask", &ignored },
    };
    static const struct { const char *name; bool only; } fixed[] = {
        { "host-cache-info", false }, { "pmu", false }, { "full-cpuid-auto-level", true },
        { "cpuid-0xb", true }, { "lmce", false }, { "hv-passthrough", false },
        { "vmware-cpuid-freq", false },
    };
    bool on;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(name, rows[i].name)) {
            *ret_known = true;
            return parse_onoff(name, value, rows[i].field, errp);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        if (strcmp(name, fixed[i].name)) {
            continue;
        }
        *ret_known = true;
        if (!parse_onoff(name, value, &on, errp)) {
            return false;
        }
        if (on != fixed[i].only && strcmp(name, "vmware-cpuid-freq")) {
            error_setg(errp, "CPU property '%s=%s' is not supported", name, value);
            return false;
        }
        return true;
    }
    return true;
}

static bool set_property(ParseState *p, const char *name, const char *value, Error **errp)
{
    bool known = false, on;
    uint32_t mask;
    int w;

    if (!set_number(p, name, value, &known, errp) || !set_text(p, name, value, &known, errp) ||
        !set_switch(p, name, value, &known, errp)) {
        return false;
    }
    if (known) {
        return true;
    }
    if (g_str_has_prefix(name, "hv-") || g_str_has_prefix(name, "hv_")) {
        error_setg(errp, "CPU property '%s': Hyper-V features are not supported", name);
        return false;
    }
    if (!feature_find(name, &w, &mask)) {
        error_setg(errp, "CPU model %s has no property or feature '%s'", p->cpu->model, name);
        return false;
    }
    if (!parse_onoff(name, value, &on, errp)) {
        return false;
    }
    if (on) {
        p->cpu->features[w] |= mask;
    } else {
        p->cpu->features[w] &= ~mask;
    }
    return true;
}

static void list_missing(GString *s, int w, uint32_t missing)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        if (missing & 1u << bit) {
            const char *name = feature_words[w].names[bit];

            g_string_append_printf(s, "%s%s.%s [bit %u]", s->len ? ", " : "",
                                   feature_words[w].where, name ? name : "", bit);
        }
    }
}

/* Take out what the accelerator lacks. */
static bool filter(ParseState *p, Error **errp)
{
    X86CPU *cpu = p->cpu;
    g_autoptr(GString) missing = g_string_new(NULL);

    if (!kvm_enabled() || !cpu->expose_kvm) {
        cpu->features[FEAT_KVM] = 0;
    }
    if (!accel || qtest_accel_enabled()) {
        return true; /* nothing runs, so nothing is lacking */
    }
    for (int w = 0; w < FEAT_WORDS; w++) {
        cpu->lacking[w] = cpu->features[w] & ~feature_supported(w);
        list_missing(missing, w, w == FEAT_KVM ? 0 : cpu->lacking[w]);
        cpu->features[w] &= ~cpu->lacking[w];
    }
    if (!missing->len) {
        return true;
    }
    if (p->enforce) {
        error_setg(errp, "the host or the accelerator lacks requested CPU features: %s",
                   missing->str);
        return false;
    }
    if (p->check && cpu->parent.index == 0) {
        warn_report("%s doesn't support requested feature: %s", kvm_enabled() ? "host" : "interp",
                    missing->str);
    }
    return true;
}

/* "name=value", "name", "+name" or "-name"; part is changed. */
static bool parse_part(ParseState *p, char *part, Error **errp)
{
    char *eq = strchr(part, '=');
    const char *name = part, *value = "on";

    if (!eq && (*name == '+' || *name == '-')) {
        value = *name++ == '+' ? "on" : "off";
    } else if (eq) {
        *eq = '\0';
        value = eq + 1;
    }
    return set_property(p, name, value, errp);
}

bool x86_cpu_set_property_text(X86CPU *cpu, const char *text, Error **errp)
{
    ParseState p = { .cpu = cpu };
    g_autofree char *part = g_strdup(text);

    if (!parse_part(&p, part, errp)) {
        return false;
    }
    if (!cpu->migratable && cpu_model_find(cpu->model)->max_like) {
        cpu->features[FEAT_8000_0007_EDX] |= feature_supported(FEAT_8000_0007_EDX);
    }
    return true;
}

bool x86_cpu_parse_options(X86CPU *cpu, const char *options, Error **errp)
{
    ParseState p = { .cpu = cpu, .check = true };
    g_auto(GStrv) parts = g_strsplit(options ? options : "", ",", -1);

    /* First, so that a feature that is named keeps what is said of it. */
    for (char **part = parts; *part; part++) {
        if (g_str_has_prefix(*part, "migratable=")) {
            if (!x86_cpu_set_property_text(cpu, *part, errp)) {
                return false;
            }
        }
    }
    for (char **part = parts; *part; part++) {
        if (**part && !parse_part(&p, *part, errp)) {
            return false;
        }
    }
    if (p.host_phys_bits && kvm_enabled()) {
        uint32_t bits = kvm_supported_cpuid(0x80000008, 0, 0) & 0xff;

        cpu->phys_bits = bits ? bits : cpu->phys_bits;
    }
    return filter(&p, errp);
}
