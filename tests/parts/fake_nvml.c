/* A libnvidia-ml.so.1 whose GPUs are described by a text file, read again at every call, so that a test can change them.
 *
 *   [system]            driver, nvml, cuda (13000), init (a return code for nvmlInit)
 *   [gpu]               one GPU; a key that is left out makes its function answer "not supported"
 *   [mig]               one MIG slice of the GPU before it: uuid, name, gi, ci, total, used, proc
 *   key=value           a value !15 makes the function return code 15 (GPU is lost); lost=1 makes all of them do so
 *   proc=PID:BYTES[:GI:CI]   graphics=PID:BYTES   mps=PID:BYTES   sample=PID:SM:MEM:ENC:DEC   field=ID:VALUE   link=NUMBER:ACTIVE:VERSION:PCI
 *
 * FAKE_NVML_STATE names the file; every call's function and argument are appended to FAKE_NVML_CALLS where that is set.
 * Types and return codes are those of NVIDIA's NVML API reference; only what is used is declared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int ret_t;
typedef unsigned long long u64;
enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, VERSION_MISMATCH = 25 };
enum { GPUS = 16, ITEMS = 128, KEY = 32, VALUE = 96, NONE = 0xFFFFFFFF };

typedef struct { char key[KEY], value[VALUE]; } item;
typedef struct { int parent, count; item items[ITEMS]; } section;
typedef struct { u64 total, free, used; } memory;
typedef struct { unsigned version; u64 total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { char bus_legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_info;
typedef struct { unsigned pid; u64 memory; unsigned gi, ci; } process_info;
typedef struct { unsigned pid; u64 time; unsigned sm, memory, encoder, decoder; } sample;
typedef struct { unsigned id, scope; long long time, latency; unsigned type; ret_t answer; union { double d; unsigned ui; u64 ull; } value; } field_value;

static section sections[64], system_section;
static int section_count, initialized;

static void note(const char *function, unsigned argument) {
    const char *path = getenv("FAKE_NVML_CALLS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%s %u\n", function, argument);
    fclose(file);
}

static int load(void) {
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256];
    section *now = &system_section;
    int gpu = -1;
    section_count = 0;
    memset(&system_section, 0, sizeof system_section);
    if (!file) return -1;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '[') {
            int mig = !strcmp(line, "[mig]");
            if (!strcmp(line, "[system]")) { now = &system_section; continue; }
            if (section_count >= 64) break;
            now = &sections[section_count];
            memset(now, 0, sizeof *now);
            now->parent = mig ? gpu : -1;
            if (!mig) gpu = section_count;
            section_count++;
            continue;
        }
        char *value = strchr(line, '=');
        if (!value || now->count >= ITEMS) continue;
        *value++ = 0;
        snprintf(now->items[now->count].key, KEY, "%.31s", line);
        snprintf(now->items[now->count].value, VALUE, "%.95s", value);
        now->count++;
    }
    fclose(file);
    return 0;
}

static const char *text(section *s, const char *key) {
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->items[i].key, key)) return s->items[i].value;
    return NULL;
}

/* The value of a key, or the return code that it stands for. */
static ret_t find(section *s, const char *key, const char **value) {
    *value = text(s, key);
    if (!*value) return NOT_SUPPORTED;
    return **value == '!' ? atoi(*value + 1) : OK;
}

static ret_t number(section *s, const char *key, unsigned *out) {
    const char *value;
    ret_t answer = find(s, key, &value);
    if (answer == OK) *out = (unsigned)strtoul(value, NULL, 0);
    return answer;
}

static ret_t string(section *s, const char *key, char *out, unsigned size) {
    const char *value;
    ret_t answer = find(s, key, &value);
    if (answer == OK) snprintf(out, size, "%s", value);
    return answer;
}

static int nth(int parent, unsigned wanted) {
    for (int i = 0; i < section_count; i++)
        if (sections[i].parent == parent && wanted-- == 0) return i;
    return -1;
}

/* A handle is the number of a section, plus one. */
static ret_t open_device(void *handle, section **out, const char *function, unsigned argument) {
    size_t position = (size_t)handle;
    note(function, argument);
    if (!initialized) return UNINITIALIZED;
    if (load() || position < 1 || position > (size_t)section_count) return GPU_IS_LOST;
    *out = &sections[position - 1];
    section *board = (*out)->parent >= 0 ? &sections[(*out)->parent] : *out;
    return text(board, "lost") ? GPU_IS_LOST : OK;
}

#define EXPORT __attribute__((visibility("default")))
#define DEVICE(argument) \
    section *d = NULL; \
    ret_t opened = open_device(handle, &d, __func__, (unsigned)(argument)); \
    if (opened != OK) return opened
#define NUMBER(function, key) \
    EXPORT ret_t function(void *handle, unsigned *out) { DEVICE(0); return number(d, key, out); }
#define STRING(function, key) \
    EXPORT ret_t function(void *handle, char *out, unsigned size) { DEVICE(0); return string(d, key, out, size); }

EXPORT ret_t nvmlInitWithFlags(unsigned flags) {
    unsigned code = OK;
    note(__func__, flags);
    if (load()) return DRIVER_NOT_LOADED;
    number(&system_section, "init", &code);
    if (code == OK) initialized++;
    return (ret_t)code;
}
EXPORT ret_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
EXPORT ret_t nvmlShutdown(void) { note(__func__, 0); if (!initialized) return UNINITIALIZED; initialized--; return OK; }
EXPORT const char *nvmlErrorString(ret_t code) { static char out[32]; snprintf(out, sizeof out, "fake error %d", code); return out; }
EXPORT ret_t nvmlSystemGetDriverVersion(char *out, unsigned size) { note(__func__, 0); return string(&system_section, "driver", out, size); }
EXPORT ret_t nvmlSystemGetNVMLVersion(char *out, unsigned size) { note(__func__, 0); return string(&system_section, "nvml", out, size); }
EXPORT ret_t nvmlSystemGetCudaDriverVersion_v2(int *out) { note(__func__, 0); return number(&system_section, "cuda", (unsigned *)out); }
EXPORT ret_t nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }

EXPORT ret_t nvmlDeviceGetCount_v2(unsigned *out) {
    unsigned code = OK;
    note(__func__, 0);
    if (!initialized || load()) return UNINITIALIZED;
    number(&system_section, "count", &code);
    if (code != OK) return (ret_t)code;
    for (*out = 0; nth(-1, *out) >= 0; ++*out) {}
    return OK;
}
EXPORT ret_t nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out) {
    unsigned code = OK;
    note(__func__, index);
    if (!initialized || load()) return UNINITIALIZED;
    int position = nth(-1, index);
    if (position < 0) return INVALID_ARGUMENT;
    if (text(&sections[position], "lost")) return GPU_IS_LOST;
    if (text(&sections[position], "handle")) { number(&sections[position], "handle", &code); return (ret_t)code; }
    *out = (void *)(size_t)(position + 1);
    return OK;
}

STRING(nvmlDeviceGetName, "name")
STRING(nvmlDeviceGetUUID, "uuid")
STRING(nvmlDeviceGetSerial, "serial")
STRING(nvmlDeviceGetVbiosVersion, "vbios")
NUMBER(nvmlDeviceGetIndex, "index")
NUMBER(nvmlDeviceGetPowerUsage, "power_mw")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit_mw")
NUMBER(nvmlDeviceGetFanSpeed, "fan")
NUMBER(nvmlDeviceGetPerformanceState, "pstate")
NUMBER(nvmlDeviceGetComputeMode, "compute_mode")
NUMBER(nvmlDeviceGetPersistenceMode, "persistence")
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_gen_max")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetMaxMigDeviceCount, "mig_max")
NUMBER(nvmlDeviceGetGpuInstanceId, "gi")
NUMBER(nvmlDeviceGetComputeInstanceId, "ci")

EXPORT ret_t nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *out) { DEVICE(sensor); return number(d, "temperature", out); }
EXPORT ret_t nvmlDeviceGetClockInfo(void *handle, unsigned type, unsigned *out) {
    char key[KEY];
    DEVICE(type);
    snprintf(key, sizeof key, "clock%u", type);
    return number(d, key, out);
}
EXPORT ret_t nvmlDeviceGetMaxClockInfo(void *handle, unsigned type, unsigned *out) {
    char key[KEY];
    DEVICE(type);
    snprintf(key, sizeof key, "clock_max%u", type);
    return number(d, key, out);
}
EXPORT ret_t nvmlDeviceGetPcieThroughput(void *handle, unsigned counter, unsigned *out) { DEVICE(counter); return number(d, counter ? "rx_kb" : "tx_kb", out); }
EXPORT ret_t nvmlDeviceGetUtilizationRates(void *handle, utilization *out) {
    DEVICE(0);
    ret_t answer = number(d, "util", &out->gpu);
    return answer != OK ? answer : number(d, "mem_util", &out->memory);
}
EXPORT ret_t nvmlDeviceGetEncoderUtilization(void *handle, unsigned *out, unsigned *period) { DEVICE(0); *period = 1000; return number(d, "encoder", out); }
EXPORT ret_t nvmlDeviceGetDecoderUtilization(void *handle, unsigned *out, unsigned *period) { DEVICE(0); *period = 1000; return number(d, "decoder", out); }
EXPORT ret_t nvmlDeviceGetCurrentClocksEventReasons(void *handle, u64 *out) {
    unsigned bits = 0;
    DEVICE(0);
    ret_t answer = number(d, "throttle", &bits);
    *out = bits;
    return answer;
}
EXPORT ret_t nvmlDeviceGetEccMode(void *handle, unsigned *now, unsigned *pending) {
    DEVICE(0);
    ret_t answer = number(d, "ecc", now);
    *pending = *now;
    return answer;
}
EXPORT ret_t nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *pending) {
    DEVICE(0);
    ret_t answer = number(d, "mig", now);
    *pending = *now;
    return answer;
}
EXPORT ret_t nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **out) {
    DEVICE(index);
    int position = nth((int)(d - sections), index);
    if (position < 0) return NOT_FOUND;
    *out = (void *)(size_t)(position + 1);
    return OK;
}
EXPORT ret_t nvmlDeviceGetMemoryInfo(void *handle, memory *out) {
    const char *total, *used;
    DEVICE(1);
    ret_t answer = find(d, "total", &total);
    if (answer != OK) return answer;
    if ((answer = find(d, "used", &used)) != OK) return answer;
    out->total = strtoull(total, NULL, 0);
    out->used = strtoull(used, NULL, 0);
    out->free = out->total - out->used;
    return OK;
}
EXPORT ret_t nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *out) {
    memory plain;
    const char *reserved;
    DEVICE(2);
    if (out->version != 0x02000028) return VERSION_MISMATCH;
    ret_t answer = find(d, "reserved", &reserved);
    if (answer != OK) return answer;
    if ((answer = nvmlDeviceGetMemoryInfo(handle, &plain)) != OK) return answer;
    out->total = plain.total;
    out->used = plain.used;
    out->reserved = strtoull(reserved, NULL, 0);
    out->free = plain.total - plain.used - out->reserved;
    return OK;
}
EXPORT ret_t nvmlDeviceGetPciInfo_v3(void *handle, pci_info *out) {
    const char *address;
    DEVICE(0);
    ret_t answer = find(d, "pci", &address);
    if (answer != OK) return answer;
    memset(out, 0, sizeof *out);
    snprintf(out->bus_id, sizeof out->bus_id, "%.31s", address);
    return number(d, "pci_id", &out->id);
}
EXPORT ret_t nvmlDeviceGetFieldValues(void *handle, int count, field_value *values) {
    DEVICE(count);
    if (text(d, "no_fields")) return NOT_SUPPORTED;
    for (int i = 0; i < count; i++) {
        values[i].answer = NOT_SUPPORTED;
        for (int k = 0; k < d->count; k++) {
            unsigned id;
            u64 value;
            if (strcmp(d->items[k].key, "field") || sscanf(d->items[k].value, "%u:%llu", &id, &value) != 2 || id != values[i].id) continue;
            values[i].answer = OK;
            values[i].type = 3;
            values[i].value.ull = value;
        }
    }
    return OK;
}

static ret_t list(section *d, const char *key, unsigned *count, process_info *out) {
    unsigned room = *count, found = 0;
    const char *refused = text(d, key);
    if (!refused && text(d, "no_processes")) return NOT_SUPPORTED;
    if (refused && *refused == '!') return atoi(refused + 1);
    for (int i = 0; i < d->count; i++) {
        process_info p = {0, 0, NONE, NONE};
        if (strcmp(d->items[i].key, key) || sscanf(d->items[i].value, "%u:%llu:%u:%u", &p.pid, &p.memory, &p.gi, &p.ci) < 2) continue;
        if (out && found < room) out[found] = p;
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}
EXPORT ret_t nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_info *out) { DEVICE(*count); return list(d, "proc", count, out); }
EXPORT ret_t nvmlDeviceGetMPSComputeRunningProcesses_v3(void *handle, unsigned *count, process_info *out) { DEVICE(*count); return list(d, "mps", count, out); }
EXPORT ret_t nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, process_info *out) { DEVICE(*count); return list(d, "graphics", count, out); }
EXPORT ret_t nvmlDeviceGetProcessUtilization(void *handle, sample *out, unsigned *count, u64 since) {
    unsigned room = *count, found = 0;
    unsigned mig = 0;
    DEVICE(0);
    const char *first = text(d, "sample");
    if (text(d, "no_samples") || (number(d, "mig", &mig) == OK && mig)) return NOT_SUPPORTED;
    if (!first) return NOT_FOUND;
    if (*first == '!') return atoi(first + 1);
    for (int i = 0; i < d->count; i++) {
        sample s = {0, since + 1, 0, 0, 0, 0};
        if (strcmp(d->items[i].key, "sample") || sscanf(d->items[i].value, "%u:%u:%u:%u:%u", &s.pid, &s.sm, &s.memory, &s.encoder, &s.decoder) < 5) continue;
        if (out && found < room) out[found] = s;
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}

/* The link of that number: its text, or why there is none (as the driver: not supported where the GPU has no links). */
static ret_t link_of(section *d, unsigned wanted, int *active, unsigned *version, char *remote) {
    int any = 0;
    for (int i = 0; i < d->count; i++) {
        unsigned index;
        if (strcmp(d->items[i].key, "link")) continue;
        any = 1;
        if (sscanf(d->items[i].value, "%u:%d:%u:%31s", &index, active, version, remote) == 4 && index == wanted) return OK;
    }
    return any ? INVALID_ARGUMENT : NOT_SUPPORTED;
}
EXPORT ret_t nvmlDeviceGetNvLinkState(void *handle, unsigned link, int *active) {
    unsigned version;
    char remote[32];
    DEVICE(link);
    return link_of(d, link, active, &version, remote);
}
EXPORT ret_t nvmlDeviceGetNvLinkVersion(void *handle, unsigned link, unsigned *version) {
    int active;
    char remote[32];
    DEVICE(link);
    return link_of(d, link, &active, version, remote);
}
EXPORT ret_t nvmlDeviceGetNvLinkRemotePciInfo_v2(void *handle, unsigned link, pci_info *out) {
    int active;
    unsigned version;
    char remote[32];
    DEVICE(link);
    ret_t answer = link_of(d, link, &active, &version, remote);
    if (answer == OK) { memset(out, 0, sizeof *out); snprintf(out->bus_id, sizeof out->bus_id, "%s", remote); }
    return answer;
}
