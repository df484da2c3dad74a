/*
 * Test guest: fills its memory with a pattern, keeps changing and checking it, and
 * measures how long each touch takes.  Runs in ring 3 without an operating system; see
 * docs/developer/guests.md.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "guest.h"

#define COM1 0x3f8
#define APIC_SPURIOUS 0xfee000f0UL
#define APIC_COMMAND 0xfee00300UL
#define AP_PAGE 0x4000 /* the other CPUs begin here */
#define WORDS (GUEST_PAGE / 8)
#define FIRST_BODY_WORD (sizeof(GuestPage) / 8)

extern GuestParams params;
static volatile GuestStatus *const status = (void *)GUEST_STATUS_ADDRESS;
static volatile uint64_t *const histogram = (void *)GUEST_HISTOGRAM_ADDRESS;
static uint64_t low_pages, high_pages, rng;

static volatile GuestCpu *const cpus = (void *)GUEST_CPUS_ADDRESS;
extern const uint8_t ap_start[], ap_end[];

void guest_main(void);
void guest_ap(uint32_t n);

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

static void put(char c)
{
    outb(COM1, c);
}

/* TSC rate: 10 ms of PIT channel 2 through the gate and output bits of port 0x61. */
static uint64_t measure_tsc(void)
{
    uint64_t begin;

    outb(0x61, inb(0x61) & ~3);
    outb(0x43, 0xb0); /* channel 2, both bytes, mode 0 */
    outb(0x42, 11932 & 0xff);
    outb(0x42, 11932 >> 8);
    outb(0x61, (inb(0x61) & ~2) | 1);
    begin = rdtsc();
    for (int i = 0; i < 200000; i++) {
        if (inb(0x61) & 0x20) {
            return (rdtsc() - begin) * 100;
        }
    }
    return 0;
}

static uint64_t page_of(uint64_t index)
{
    if (index < low_pages) {
        return params.low_start / GUEST_PAGE + index;
    }
    return GUEST_HIGH_START / GUEST_PAGE + (index - low_pages);
}

static uint64_t body_seed(uint64_t page)
{
    uint64_t s = guest_mix(page, params.seed);

    return s ? s : 1;
}

static void fill_page(uint64_t page)
{
    volatile uint64_t *w = (volatile uint64_t *)(page * GUEST_PAGE);
    volatile GuestPage *h = (volatile GuestPage *)w;
    enum GuestPageKind kind = guest_page_kind(&params, page);
    uint64_t x = body_seed(page);

    if (kind == GUEST_PAGE_ZERO) {
        return;
    }
    for (unsigned i = FIRST_BODY_WORD; i < WORDS - 1; i++) {
        w[i] = x;
        x = kind == GUEST_PAGE_RANDOM ? guest_next(x) : x;
    }
    h->page = page;
    h->generation = 1;
    h->check = guest_mix(page, 1);
    w[WORDS - 1] = 1;
    status->digest += h->check;
}

static void report_error(volatile uint64_t *at, uint64_t expected)
{
    status->error_address = (uint64_t)at;
    status->error_expected = expected;
    status->error_got = *at;
    status->errors++;
    status->state = GUEST_ERROR;
    put('E');
}

static int expect(volatile uint64_t *at, uint64_t expected)
{
    if (*at == expected) {
        return 1;
    }
    report_error(at, expected);
    return 0;
}

static int check_header(uint64_t page)
{
    volatile uint64_t *w = (volatile uint64_t *)(page * GUEST_PAGE);
    volatile GuestPage *h = (volatile GuestPage *)w;

    return expect(&w[0], page) && expect(&w[2], guest_mix(page, h->generation)) &&
           expect(&w[WORDS - 1], h->generation) && expect(&w[FIRST_BODY_WORD], body_seed(page));
}

static int check_page(uint64_t page)
{
    volatile uint64_t *w = (volatile uint64_t *)(page * GUEST_PAGE);
    enum GuestPageKind kind = guest_page_kind(&params, page);
    uint64_t x = body_seed(page);

    if (kind == GUEST_PAGE_ZERO) {
        for (unsigned i = 0; i < WORDS; i++) {
            if (!expect(&w[i], 0)) {
                return 0;
            }
        }
        return 1;
    }
    if (!check_header(page)) {
        return 0;
    }
    for (unsigned i = FIRST_BODY_WORD; i < WORDS - 1; i++) {
        if (!expect(&w[i], x)) {
            return 0;
        }
        x = kind == GUEST_PAGE_RANDOM ? guest_next(x) : x;
    }
    return 1;
}

static int check_all(void)
{
    uint64_t digest = 0;

    for (uint64_t i = 0; i < low_pages + high_pages; i++) {
        uint64_t page = page_of(i);
        if (!check_page(page)) {
            return 0;
        }
        if (guest_page_kind(&params, page) != GUEST_PAGE_ZERO) {
            digest += ((volatile GuestPage *)(page * GUEST_PAGE))->check;
        }
    }
    if (digest != status->digest) {
        report_error(&status->digest, digest);
        return 0;
    }
    return 1;
}

static void record_touch(uint64_t ticks)
{
    unsigned power;

    if (ticks < 1u << GUEST_HIST_MIN) {
        ticks = 1u << GUEST_HIST_MIN;
    }
    power = 63 - __builtin_clzll(ticks);
    if (power >= GUEST_HIST_MIN + GUEST_HIST_POWERS) {
        power = GUEST_HIST_MIN + GUEST_HIST_POWERS - 1;
    }
    histogram[(power - GUEST_HIST_MIN) * GUEST_HIST_SUB + ((ticks >> (power - 5)) & 31)]++;
    status->touches++;
    status->touch_sum += ticks;
    if (ticks > status->touch_max) {
        status->touch_max = ticks;
    }
}

static void touch(uint64_t page)
{
    uint64_t begin = rdtsc();

    (void)*(volatile uint64_t *)(page * GUEST_PAGE);
    record_touch(rdtsc() - begin);
}

static void visit(uint64_t page)
{
    volatile uint64_t *w = (volatile uint64_t *)(page * GUEST_PAGE);
    uint64_t generation, check;

    if (guest_page_kind(&params, page) == GUEST_PAGE_ZERO) {
        return;
    }
    if (params.flags & GUEST_TIME_VISITS) {
        touch(page);
    }
    if (!check_header(page) || params.mode == GUEST_READ) {
        return;
    }
    generation = w[1] + 1;
    check = guest_mix(page, generation);
    status->digest += check - w[2];
    w[1] = generation;
    w[2] = check;
    w[WORDS - 1] = generation;
}

static void reset_histogram(void)
{
    for (unsigned i = 0; i < GUEST_HIST_SIZE; i++) {
        histogram[i] = 0;
    }
    status->touches = status->touch_sum = status->touch_max = status->max_gap = 0;
}

static void print_status(void)
{
    static const char digits[] = "0123456789abcdef";

    put('S');
    for (int i = 60; i >= 0; i -= 4) {
        put(digits[status->digest >> i & 15]);
    }
    put('\n');
}

/* Bytes on COM1: f freeze and check everything, g go on, s status, r reset the figures. */
static void poll_commands(void)
{
    if (!(inb(COM1 + 5) & 1)) {
        return;
    }
    switch (inb(COM1)) {
    case 'f':
        if (status->state == GUEST_RUNNING && check_all()) {
            status->state = GUEST_FROZEN;
            status->self_checks++;
            put('F');
        }
        break;
    case 'g':
        if (status->state == GUEST_FROZEN) {
            status->state = GUEST_RUNNING;
            status->last_tsc = rdtsc();
            put('G');
        }
        break;
    case 's':
        print_status();
        break;
    case 'r':
        reset_histogram();
        put('r');
        break;
    }
}

static void fill_all(void)
{
    status->state = GUEST_FILLING;
    for (uint64_t i = 0; i < low_pages + high_pages; i++) {
        fill_page(page_of(i));
        status->filled = i + 1;
    }
}

static void begin(void)
{
    volatile uint8_t *s = (volatile uint8_t *)status;

    for (unsigned i = 0; i < sizeof(*status); i++) {
        s[i] = 0;
    }
    for (unsigned i = 0; i < sizeof(params); i++) {
        ((volatile uint8_t *)&status->params)[i] = ((uint8_t *)&params)[i];
    }
    for (unsigned i = 0; i < sizeof(GuestCpu) * GUEST_MAX_CPUS; i++) {
        ((volatile uint8_t *)cpus)[i] = 0;
    }
    reset_histogram();
    status->version = 1;
    low_pages = params.low_bytes / GUEST_PAGE;
    high_pages = params.high_bytes / GUEST_PAGE;
    rng = params.seed | 1;
    status->magic = GUEST_STATUS_MAGIC;
}

/* Note the longest time without a visit: what a stopped guest feels as downtime. */
static void note_gap(void)
{
    uint64_t now = rdtsc(), gap = now - status->last_tsc;

    if (gap > status->max_gap) {
        status->max_gap = gap;
    }
    status->last_tsc = now;
}

/* ---- the other CPUs ---- */

static void apic_write(uintptr_t reg, uint32_t v)
{
    *(volatile uint32_t *)reg = v;
}

static void delay(unsigned n)
{
    while (n--) {
        outb(0x80, 0);
    }
}

/* INIT and twice SIPI to all but ourselves; those that exist come, then we go on. */
static void start_cpus(void)
{
    volatile uint8_t *to = (volatile uint8_t *)AP_PAGE;
    uint64_t others = (params.cpus < GUEST_MAX_CPUS ? params.cpus : GUEST_MAX_CPUS) - 1;
    uint64_t come = 0;

    for (unsigned i = 0; ap_start + i < ap_end; i++) {
        to[i] = ap_start[i];
    }
    apic_write(APIC_SPURIOUS, 0x1ff);
    apic_write(APIC_COMMAND, 0xc4500);
    delay(200);
    apic_write(APIC_COMMAND, 0xc4600 | AP_PAGE >> 12);
    delay(200);
    apic_write(APIC_COMMAND, 0xc4600 | AP_PAGE >> 12);
    while (come < others) {
        come = 0;
        for (unsigned i = 1; i < GUEST_MAX_CPUS; i++) {
            come += cpus[i].started;
        }
        __asm__ volatile("pause");
    }
}

/*
 * Look at a page that the first CPU may be writing.  It writes generation, check and last
 * word in this order; read in the other order with the same generation at both ends, they
 * belong together.
 */
static void observe(volatile GuestCpu *cpu, uint64_t page)
{
    volatile uint64_t *w = (volatile uint64_t *)(page * GUEST_PAGE);
    uint64_t last = w[WORDS - 1], check = w[2], generation = w[1];

    if (guest_page_kind(&params, page) == GUEST_PAGE_ZERO) {
        if (last | check | generation | w[0]) {
            cpu->errors++;
            report_error(w, 0);
        }
        return;
    }
    if (last != generation) {
        cpu->retries++;
        return;
    }
    if (check != guest_mix(page, generation) || !expect(&w[0], page) ||
        !expect(&w[FIRST_BODY_WORD], body_seed(page))) {
        cpu->errors++;
        report_error(&w[2], guest_mix(page, generation));
    }
}

/* CPUs 1 and 2, 3 and 4, ... walk the same way: they want missing pages together. */
void guest_ap(uint32_t n)
{
    volatile GuestCpu *cpu = &cpus[n];
    uint64_t pages = low_pages + high_pages, walk = guest_mix(params.seed, (n - 1) / 2) | 1;

    cpu->started = 1;
    for (;;) {
        if (status->state != GUEST_RUNNING || !pages) {
            __asm__ volatile("pause");
            continue;
        }
        walk = guest_next(walk);
        observe(cpu, page_of(walk % pages));
        cpu->visits++;
    }
}

void guest_main(void)
{
    uint64_t pages, next = 0, due;

    put('A');
    begin();
    status->tsc_hz = measure_tsc();
    fill_all();
    if (params.cpus > 1) {
        start_cpus();
    }
    put('R');
    status->state = GUEST_RUNNING;
    pages = low_pages + high_pages;
    status->last_tsc = due = rdtsc();
    for (uint64_t n = 1;; n++) {
        if (n % 512 == 0 || status->state != GUEST_RUNNING || params.mode == GUEST_IDLE) {
            poll_commands();
        }
        if (status->state != GUEST_RUNNING || params.mode == GUEST_IDLE || !pages) {
            __asm__ volatile("pause");
            continue;
        }
        rng = guest_next(rng);
        next = params.mode == GUEST_SEQUENTIAL ? (next + 1) % pages : rng % pages;
        visit(page_of(next));
        status->visits++;
        note_gap();
        if (status->visits % 65536 == 0 && !(params.flags & GUEST_QUIET)) {
            put('.');
        }
        if (params.interval) {
            for (due += params.interval; (int64_t)(rdtsc() - due) < 0;) {
                __asm__ volatile("pause");
            }
            due = (int64_t)(rdtsc() - due) > (int64_t)params.interval ? rdtsc() : due;
        }
    }
}
