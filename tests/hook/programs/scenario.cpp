// One program for the ways in which a process can live and end: scenario NAME [COUNT].
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

#include "tests/hook/programs/device.h"

namespace {

struct Product {
    cublasHandle_t handle = nullptr;
    Buffer<float> a{64 * 64, 1}, b{64 * 64, 2}, c{64 * 64, 3};
    explicit Product(cudaStream_t stream = nullptr) {
        BLAS(cublasCreate(&handle));
        BLAS(cublasSetStream(handle, stream));
    }
    ~Product() { cublasDestroy(handle); }
    void run(float beta = 0) {
        const float alpha = 1;
        BLAS(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 64, 64, 64, &alpha, a, 64, b, 64, &beta, c, 64));
    }
};

void finish(const Product& product) {
    std::printf("%016llx\n", static_cast<unsigned long long>(product.c.hash()));
}

void calls(int count) {
    Product product;
    for (int i = 0; i < count; ++i) product.run();
    finish(product);
}

// C grows from call to call: a C that is saved too late or too early gives a false alarm.
void in_place(int count) {
    cudaStream_t stream;
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    {
        Product product(stream);
        for (int i = 0; i < count; ++i) product.run(0.5f);
        finish(product);
    }
    CUDA(cudaStreamDestroy(stream));
}

// Inputs and output are overwritten right behind each call, on its stream: a check on another stream, or one
// that reads later than its place, sees them.
void overwritten(int count) {
    cudaStream_t stream;
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    {
        Product product(stream);
        const Buffer<float> other(64 * 64, 9);
        for (int i = 0; i < count; ++i) {
            CUDA(cudaMemcpyAsync(product.a.get(), i % 2 ? other.get() : product.b.get(), other.bytes(),
                                 cudaMemcpyDeviceToDevice, stream));
            product.run(0.5f);
            CUDA(cudaMemsetAsync(product.a.get(), 0, product.a.bytes(), stream));
            CUDA(cudaMemsetAsync(product.c.get(), 0x3f, product.c.bytes(), stream));
        }
        CUDA(cudaStreamSynchronize(stream));
    }
    CUDA(cudaStreamDestroy(stream));
}

// C is a small part of a large matrix, or a vector with gaps, or one that runs backwards: saving it takes a
// copy with pitch.
void scattered(int) {
    Product product;
    const float alpha = 1, beta = 0.5f;
    const Buffer<float> large(64 * 64, 4), vector(64 * 9, 5);
    BLAS(cublasSgemm(product.handle, CUBLAS_OP_N, CUBLAS_OP_N, 16, 8, 64, &alpha, product.a, 64, product.b,
                     64, &beta, large.get() + 5, 64));
    BLAS(cublasSgemv(product.handle, CUBLAS_OP_T, 64, 40, &alpha, product.a, 64, product.b, 1, &beta, vector,
                     9));
    BLAS(cublasSgemv(product.handle, CUBLAS_OP_N, 40, 64, &alpha, product.a, 64, product.b, -1, &beta, vector,
                     -9));
    finish(product);
    std::printf("%016llx %016llx\n", static_cast<unsigned long long>(large.hash()),
                static_cast<unsigned long long>(vector.hash()));
}

// The second half of K takes away what the first half adds, but for a part in 2^14.
void cancelling(int count) {
    Product product;
    constexpr std::size_t half = 64 * 32;
    Values values(11);
    std::vector<float> a(2 * half), b(2 * half);
    for (std::size_t i = 0; i < half; ++i) {  // A by columns of 64, B by columns of which each half is 32
        a[i] = values.next();
        a[i + half] = -a[i] * (1 + 0x1p-14f);
        const std::size_t at = i / 32 * 64 + i % 32;
        b[at] = b[at + 32] = values.next();
    }
    CUDA(cudaMemcpy(product.a.get(), a.data(), product.a.bytes(), cudaMemcpyHostToDevice));
    CUDA(cudaMemcpy(product.b.get(), b.data(), product.b.bytes(), cudaMemcpyHostToDevice));
    for (int i = 0; i < count; ++i) product.run();
    finish(product);
}

// Two threads, each with its stream and handle.
void threads(int count) {
    const auto work = [count] { in_place(count); };
    std::thread one(work), two(work);
    one.join();
    two.join();
}

void graph(int launches) {
    cudaStream_t stream;
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    {
        Product product(stream);
        product.run();
        CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
        product.run();
        product.run(0.5f);
        cudaGraph_t captured;
        CUDA(cudaStreamEndCapture(stream, &captured));
        cudaGraphExec_t executable;
        CUDA(cudaGraphInstantiate(&executable, captured, 0));
        for (int i = 0; i < launches; ++i) CUDA(cudaGraphLaunch(executable, stream));
        CUDA(cudaStreamSynchronize(stream));
        CUDA(cudaGraphExecDestroy(executable));
        CUDA(cudaGraphDestroy(captured));
        finish(product);
    }
    CUDA(cudaStreamDestroy(stream));
}

// The very first call of the process is captured: all set-up falls into the capture.
void graph_first(int launches) {
    cudaStream_t stream;
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    {
        Product product(stream);
        CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
        product.run(0.5f);
        cudaGraph_t captured;
        CUDA(cudaStreamEndCapture(stream, &captured));
        cudaGraphExec_t executable;
        CUDA(cudaGraphInstantiate(&executable, captured, 0));
        for (int i = 0; i < launches; ++i) CUDA(cudaGraphLaunch(executable, stream));
        CUDA(cudaStreamSynchronize(stream));
        finish(product);
    }
}

void forked(int count) {
    calls(count);
    const pid_t child = fork();
    if (child == 0) {
        // CUDA is dead here, FuMi must be too: exit handlers run in both processes.
        std::exit(5);
    }
    int status = 0;
    waitpid(child, &status, 0);
    std::printf("child %d\n", WEXITSTATUS(status));
    calls(count);
}

// The fork comes before any CUDA call: the child is a program like any other.
void forked_first(int count) {
    const pid_t child = fork();
    if (child == 0) {
        calls(count);
        std::exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    std::printf("child %d\n", WEXITSTATUS(status));
}

void reset(int count) {
    calls(count);
    CUDA(cudaDeviceReset());
    calls(count);
}

void failing_call(int) {
    Product product;
    const float alpha = 1, beta = 0;
    const auto status = cublasSgemm(product.handle, CUBLAS_OP_N, CUBLAS_OP_N, 64, 64, 64, &alpha, product.a,
                                    1, product.b, 64, &beta, product.c, 64);
    std::printf("status %d\n", static_cast<int>(status));
}

// As Python extensions come to cuBLAS: by a handle, at run time.
void looked_up(int count) {
    Product product;
    void* library = dlopen("libcublas.so.13", RTLD_NOW);
    using Sgemm = decltype(&cublasSgemm_v2);
    const auto sgemm = reinterpret_cast<Sgemm>(dlsym(library, "cublasSgemm_v2"));
    const float alpha = 1, beta = 0;
    for (int i = 0; i < count; ++i)
        BLAS(sgemm(product.handle, CUBLAS_OP_N, CUBLAS_OP_N, 64, 64, 64, &alpha, product.a, 64, product.b, 64,
                   &beta, product.c, 64));
    finish(product);
}

void no_blas(int) {
    const Buffer<float> buffer(16);
    std::printf("%016llx\n", static_cast<unsigned long long>(buffer.hash()));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string name = argc > 1 ? argv[1] : "";
    const int count = argc > 2 ? std::atoi(argv[2]) : 1;
    if (name == "nothing") return 3;
    if (name == "calls")
        calls(count);
    else if (name == "in_place")
        in_place(count);
    else if (name == "overwritten")
        overwritten(count);
    else if (name == "scattered")
        scattered(count);
    else if (name == "cancelling")
        cancelling(count);
    else if (name == "threads")
        threads(count);
    else if (name == "graph")
        graph(count);
    else if (name == "graph_first")
        graph_first(count);
    else if (name == "forked")
        forked(count);
    else if (name == "forked_first")
        forked_first(count);
    else if (name == "reset")
        reset(count);
    else if (name == "failing_call")
        failing_call(count);
    else if (name == "looked_up")
        looked_up(count);
    else if (name == "no_blas")
        no_blas(count);
    else if (name == "exit_at_once") {
        calls(count);
        std::fflush(stdout);
        _exit(7);
    } else if (name == "killed") {
        calls(count);
        std::fflush(stdout);
        sleep(1);
        raise(SIGKILL);
    } else if (name == "aborted") {
        calls(count);
        std::abort();
    } else if (name == "exit_in_flight") {
        auto* product = new Product;  // nothing waits for the device before the end
        for (int i = 0; i < count; ++i) product->run();
        std::exit(4);
    } else
        return 99;
    return name == "calls" ? 0 : 6;
}
