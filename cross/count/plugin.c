/* Counts the instructions that a guest executes between two marks: a plugin for QEMU's
   code generator, built by `cargo xtask count`.

   arguments   begin=ADDRESS,end=ADDRESS    where the two mark functions start
               out=FILE                     where the counts go
               steps=ADDRESS,number=N,size=BYTES   (optional) the plan's step records

   Every executed instruction adds one to a counter, inline in the translated code, so
   that the count is exact. Where the step records are given, reads of them are watched:
   the engine reads a step's record just before it runs the step, so the first read of
   record i ends what was counted for the step before. Nothing needs to be put into the
   engine for that.

   The declarations are those of version 1 of QEMU's plugin interface (QEMU 4.2 and
   later), written out here because distributions do not package its header. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t plugin_id;
typedef struct translation_block translation_block;
typedef struct instruction instruction;
typedef uint32_t memory_info;
typedef struct host_info host_info;

enum { CALLBACK_READS_NO_REGISTERS = 0 };
enum { INLINE_ADD_U64 = 0 };
/* Reads and writes: QEMU 7.2 takes its own value for reads alone for writes alone. */
enum { MEMORY_ACCESS = 3 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, translation_block *));
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const translation_block *);
extern instruction *qemu_plugin_tb_get_insn(const translation_block *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const instruction *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(instruction *, void (*)(unsigned, void *), int flags, void *);
extern void qemu_plugin_register_vcpu_insn_exec_inline(instruction *, int operation, void *counter, uint64_t value);
extern void qemu_plugin_register_vcpu_mem_cb(instruction *, void (*)(unsigned, memory_info, uint64_t, void *), int flags,
                                             int direction, void *);
extern bool qemu_plugin_mem_is_store(memory_info);

EXPORTED int qemu_plugin_version = 1;

static uint64_t executed;   /* by the guest since it started */
static uint64_t begin_at, end_at, began, between;
static unsigned runs;
static bool armed;
static char out_path[4096];

static uint64_t steps_at, steps_end, record_bytes, step_count;
static uint64_t *per_step;  /* step_count + 1: the last one is what belongs to no step */
static uint64_t current, segment_began;

static void close_segment(uint64_t next) {
    if (per_step) per_step[current] += executed - segment_began;
    segment_began = executed;
    current = next;
}

static void on_begin(unsigned cpu, void *unused) {
    (void)cpu, (void)unused;
    armed = true;
    began = executed;
    segment_began = executed;
    current = step_count;
}

static void on_end(unsigned cpu, void *unused) {
    (void)cpu, (void)unused;
    if (!armed) return;
    armed = false;
    runs++;
    between += executed - began;
    close_segment(step_count);
}

static void on_access(unsigned cpu, memory_info info, uint64_t address, void *unused) {
    (void)cpu, (void)unused;
    if (!armed || address < steps_at || address >= steps_end || qemu_plugin_mem_is_store(info)) return;
    uint64_t step = (address - steps_at) / record_bytes;
    if (step != current) close_segment(step);
}

static void on_translation(plugin_id id, translation_block *block) {
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < count; i++) {
        instruction *one = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(one);
        if (address == begin_at)
            qemu_plugin_register_vcpu_insn_exec_cb(one, on_begin, CALLBACK_READS_NO_REGISTERS, NULL);
        if (address == end_at)
            qemu_plugin_register_vcpu_insn_exec_cb(one, on_end, CALLBACK_READS_NO_REGISTERS, NULL);
        if (per_step)
            qemu_plugin_register_vcpu_mem_cb(one, on_access, CALLBACK_READS_NO_REGISTERS, MEMORY_ACCESS, NULL);
        qemu_plugin_register_vcpu_insn_exec_inline(one, INLINE_ADD_U64, &executed, 1);
    }
}

static void on_exit_write(plugin_id id, void *unused) {
    (void)id, (void)unused;
    FILE *file = fopen(out_path, "w");
    if (!file) {
        perror(out_path);
        return;
    }
    fprintf(file, "runs %u\ninstructions %" PRIu64 "\n", runs, between);
    for (uint64_t i = 0; per_step && i < step_count; i++) fprintf(file, "step %" PRIu64 " %" PRIu64 "\n", i, per_step[i]);
    if (per_step) fprintf(file, "outside %" PRIu64 "\n", per_step[step_count]);
    fclose(file);
}

static bool number(const char *argument, const char *key, uint64_t *value) {
    size_t length = strlen(key);
    if (strncmp(argument, key, length) != 0 || argument[length] != '=') return false;
    *value = strtoull(argument + length + 1, NULL, 0);
    return true;
}

EXPORTED int qemu_plugin_install(plugin_id id, const host_info *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            snprintf(out_path, sizeof out_path, "%s", argv[i] + 4);
        } else if (!number(argv[i], "begin", &begin_at) && !number(argv[i], "end", &end_at) &&
                   !number(argv[i], "steps", &steps_at) && !number(argv[i], "number", &step_count) &&
                   !number(argv[i], "size", &record_bytes)) {
            fprintf(stderr, "no argument of this plugin: %s\n", argv[i]);
            return 1;
        }
    }
    if (!begin_at || !end_at || !out_path[0]) {
        fprintf(stderr, "this plugin needs begin=, end= and out=\n");
        return 1;
    }
    if (step_count && record_bytes) {
        per_step = calloc(step_count + 1, sizeof *per_step);
        steps_end = steps_at + step_count * record_bytes;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_write, NULL);
    return 0;
}
