/* A driver library for tests: two GPUs. The second one gives no power and no utilisation, and falls off the bus
   (GPU_IS_LOST, as after XID 79) while the file that FAKE_NVML_LOST names exists. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } rates_t;
static int devices[2] = {0, 1};
static int lost(int *handle) { const char *path = getenv("FAKE_NVML_LOST"); return *handle && path && access(path, F_OK) == 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { (void)code; return "an error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { (void)size; strcpy(text, "550.1"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, int **handle) { if (index > 1) return 2; *handle = &devices[index]; return 0; }
int nvmlDeviceGetUUID(int *handle, char *text, unsigned size) { (void)size; if (lost(handle)) return 15; strcpy(text, *handle ? "GPU-b" : "GPU-a"); return 0; }
int nvmlDeviceGetName(int *handle, char *text, unsigned size) { (void)handle; (void)size; strcpy(text, "NVIDIA Test"); return 0; }
int nvmlDeviceGetMemoryInfo(int *handle, memory_t *memory) { if (lost(handle)) return 15; memory->total = 1000; memory->used = 400; memory->free = 600; return 0; }
int nvmlDeviceGetUtilizationRates(int *handle, rates_t *rates) { if (*handle) return 3; rates->gpu = 77; rates->memory = 10; return 0; }
int nvmlDeviceGetTemperature(int *handle, int sensor, unsigned *heat) { (void)sensor; *heat = 60 + *handle; return 0; }
int nvmlDeviceGetPowerUsage(int *handle, unsigned *power) { if (*handle) return 3; *power = 250000; return 0; }
