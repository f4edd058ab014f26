// Calls cuBLAS through hidden_caller alone.
extern "C" void hidden_call();

int main() {
    hidden_call();
    return 8;
}
