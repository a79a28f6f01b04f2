/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The driver on the host, for tests: the bus is a conversation in lines of text on standard output (requests) and
 * standard input (replies), so that whoever started this program can put any hardware behind it. Bytes are in
 * hexadecimal, "-" for none. Every reply begins with the status that the bus function gives.
 *
 *     R offset             -> status value              W offset value -> status
 *     P stream last bytes  -> status                    G capacity     -> status last bytes
 *     I                    -> status                    D              -> status bytes (data for the test)
 *     = name value, O bytes: reports, without a reply
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../xnorforge.h"

#define BYTES_MAX (1u << 20)

static char line[2 * BYTES_MAX + 64];
static uint8_t buffer[BYTES_MAX];
static uint8_t other[BYTES_MAX];

static void fail(const char *what) {
    fprintf(stderr, "host: %s\n", what);
    exit(2);
}

static void reply(void) {
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) fail("the conversation has ended");
}

static void put_bytes(const uint8_t *bytes, size_t count) {
    if (count == 0) putchar('-');
    for (size_t i = 0; i < count; ++i) printf("%02x", bytes[i]);
}

/* The bytes at a place of the reply. */
static size_t get_bytes(const char *text, uint8_t *bytes, size_t capacity) {
    size_t count = 0;
    unsigned byte = 0;
    for (; text[0] != '-' && sscanf(text, "%2x", &byte) == 1; text += 2) {
        if (count == capacity) fail("more bytes than asked for");
        bytes[count++] = (uint8_t)byte;
    }
    return count;
}

static int bus_read(void *context, uint32_t offset, uint32_t *value) {
    int status = -1;
    unsigned number = 0;
    (void)context;
    printf("R %x\n", (unsigned)offset);
    reply();
    if (sscanf(line, "%d %x", &status, &number) != 2) fail("reply to R");
    *value = number;
    return status;
}

static int status_only(const char *request) {
    int status = -1;
    reply();
    if (sscanf(line, "%d", &status) != 1) fail(request);
    return status;
}

static int bus_write(void *context, uint32_t offset, uint32_t value) {
    (void)context;
    printf("W %x %x\n", (unsigned)offset, (unsigned)value);
    return status_only("reply to W");
}

static int bus_push(void *context, xnf_stream stream, const uint8_t *bytes, size_t count, bool last) {
    (void)context;
    printf("P %d %d ", (int)stream, last);
    put_bytes(bytes, count);
    putchar('\n');
    return status_only("reply to P");
}

static int bus_pop(void *context, uint8_t *bytes, size_t capacity, size_t *count, bool *last) {
    int status = -1, is_last = 0, at = 0;
    (void)context;
    printf("G %lx\n", (unsigned long)capacity);
    reply();
    if (sscanf(line, "%d %d %n", &status, &is_last, &at) != 2) fail("reply to G");
    *count = get_bytes(line + at, bytes, capacity);
    *last = is_last != 0;
    return status;
}

static void bus_idle(void *context) {
    (void)context;
    printf("I\n");
    status_only("reply to I");
}

/* Bytes from whoever started this program. */
static size_t data(uint8_t *bytes, size_t capacity) {
    int status = -1, at = 0;
    printf("D\n");
    reply();
    if (sscanf(line, "%d %n", &status, &at) != 1) fail("reply to D");
    return get_bytes(line + at, bytes, capacity);
}

static void report(const char *name, unsigned long value) { printf("= %s %lx\n", name, value); }

static void report_bytes(const uint8_t *bytes, size_t count) {
    printf("O ");
    put_bytes(bytes, count);
    putchar('\n');
}

static void report_status(const xnf_device *device) {
    xnf_status status;
    report("read_status", xnf_read_status(device, &status));
    report("busy", status.busy);
    report("done", status.done);
    report("clearing", status.clearing);
    report("error", status.error);
    report("layer", status.layer);
}

static void report_sizes(const xnf_device *device) {
    const xnf_sizes *const s = &device->sizes;
    const struct {
        const char *name;
        uint32_t value;
    } all[] = {
        {"configuration_high", s->configuration_high},
        {"configuration_low", s->configuration_low},
        {"rows", s->rows},
        {"columns", s->columns},
        {"lanes", s->lanes},
        {"activation_bits", s->activation_bits},
        {"weight_bits", s->weight_bits},
        {"activation_branches", s->activation_branches},
        {"weight_branches", s->weight_branches},
        {"reduction_max", s->reduction_max},
        {"result_width", s->result_width},
        {"slices", s->slices},
        {"drain_columns", s->drain_columns},
        {"load_ports", s->load_ports},
        {"activation_words", s->activation_words},
        {"residual_words", s->residual_words},
        {"patch_words", s->patch_words},
        {"weight_words", s->weight_words},
        {"constant_words", s->constant_words},
        {"channel_words", s->channel_words},
        {"table_words", s->table_words},
        {"program_words", s->program_words},
        {"schedule_words", s->schedule_words},
        {"layers", s->layers},
        {"counters", s->counters},
        {"threshold_bits", s->threshold_bits},
        {"stream_bits", s->stream_bits},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) report(all[i].name, all[i].value);
}

static unsigned long number(const char *text) { return strtoul(text, NULL, 0); }

/* One command with its arguments; gives how many arguments it took. */
static int command(xnf_device *device, int count, char **words) {
    const char *const name = words[0];
    const unsigned long first = count > 1 ? number(words[1]) : 0;
    const unsigned long second = count > 2 ? number(words[2]) : 0;
    const unsigned long third = count > 3 ? number(words[3]) : 0;
    const unsigned long fourth = count > 4 ? number(words[4]) : 0;
    uint32_t value = 0;
    if (!strcmp(name, "sizes")) return report_sizes(device), 0;
    if (!strcmp(name, "status")) return report_status(device), 0;
    if (!strcmp(name, "start")) {
        return report("start", xnf_start(device, (uint32_t)first, (uint32_t)second)), 2;
    }
    if (!strcmp(name, "wait")) return report("wait", xnf_wait(device, (uint32_t)first)), 1;
    if (!strcmp(name, "soft_reset")) return report("soft_reset", xnf_soft_reset(device)), 0;
    if (!strcmp(name, "enable_interrupts")) {
        return report("enable_interrupts", xnf_enable_interrupts(device, (uint32_t)first)), 1;
    }
    if (!strcmp(name, "interrupts")) {
        report("take_interrupts", xnf_take_interrupts(device, &value));
        return report("interrupts", value), 0;
    }
    if (!strcmp(name, "bus_errors")) {
        report("take_bus_errors", xnf_take_bus_errors(device, &value));
        return report("bus_errors", value), 0;
    }
    if (!strcmp(name, "counter")) {
        report("read_counter", xnf_read_counter(device, (uint32_t)first, (xnf_counter_cause)second, &value));
        return report("cycles", value), 2;
    }
    if (!strcmp(name, "clear_counters")) {
        return report("clear_counters", xnf_clear_counters(device, (uint32_t)first)), 1;
    }
    if (!strcmp(name, "load")) {
        const size_t bytes = data(buffer, sizeof buffer);
        const xnf_result result =
            xnf_load(device, (xnf_target)first, (uint32_t)second, (uint32_t)third, (uint32_t)fourth, buffer, bytes);
        return report("load", result), 4;
    }
    if (!strcmp(name, "load_image")) {
        const size_t bytes = data(buffer, sizeof buffer);
        return report("load_image", xnf_load_image(device, buffer, bytes)), 0;
    }
    if (!strcmp(name, "push")) {
        const size_t bytes = data(buffer, sizeof buffer);
        return report("push", xnf_push(device, (xnf_stream)first, buffer, bytes, second != 0)), 2;
    }
    if (!strcmp(name, "pop")) {
        size_t values = 0;
        bool last = false;
        static int32_t results[BYTES_MAX / 4];
        report("pop", xnf_pop_results(device, results, first, &values, &last));
        report("last", last);
        report_bytes((const uint8_t *)results, values * 4);
        return 1;
    }
    if (!strcmp(name, "pack_tensor")) {
        xnf_tensor tensor = {0};
        data(buffer, sizeof buffer);
        report("lay_out", xnf_lay_out(&device->sizes, (uint32_t)first, (uint32_t)second, (uint32_t)third, &tensor));
        report("pack_tensor", xnf_pack_tensor(&device->sizes, &tensor, buffer, other, sizeof other));
        report("words", tensor.words);
        return report_bytes(other, tensor.bytes), 3;
    }
    if (!strcmp(name, "pack_weights")) {
        size_t bytes = 0;
        data(buffer, sizeof buffer);
        report("pack_weights", xnf_pack_weights(&device->sizes, (uint32_t)first, (uint32_t)second, (uint32_t)third,
                                                buffer, other, sizeof other, &bytes));
        return report_bytes(other, bytes), 3;
    }
    if (!strcmp(name, "unpack_results")) {
        static int32_t values[BYTES_MAX / 4], results[BYTES_MAX / 4];
        data((uint8_t *)values, sizeof values);
        report("unpack_results", xnf_unpack_results(&device->sizes, (uint32_t)first, (uint32_t)second, values, results));
        return report_bytes((const uint8_t *)results, first * second * 4), 2;
    }
    if (!strcmp(name, "error_name")) return printf("= %s %lx\n", xnf_error_name((uint8_t)first), first), 1;
    fail(name);
    return 0;
}

int main(int count, char **words) {
    const xnf_bus bus = {NULL, bus_read, bus_write, bus_push, bus_pop, bus_idle};
    xnf_device device;
    const xnf_result result = xnf_open(&device, &bus);
    report("open", result);
    if (result != XNF_OK) return 0;
    for (int i = 1; i < count; ++i) i += command(&device, count - i, words + i);
    return 0;
}
