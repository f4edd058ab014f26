// A library that is bound to what no torch has, as libfumi_torch.so is in a torch of another version.
extern "C" void of_no_torch();
extern "C" __attribute__((visibility("default"))) void fumi_torch_start() {
    of_no_torch();
}
