// cuDNN without PyTorch: dnn NAME [COUNT].
#include <cudnn.h>
#include <dlfcn.h>

#include <string>
#include <thread>

#include "tests/hook/programs/device.h"

#define DNN(call)                                                                         \
    do {                                                                                  \
        const cudnnStatus_t dnn_status = (call);                                          \
        require(dnn_status == CUDNN_STATUS_SUCCESS, #call, static_cast<int>(dnn_status)); \
    } while (false)

namespace {

class Backend {
  public:
    explicit Backend(cudnnBackendDescriptorType_t type) { DNN(cudnnBackendCreateDescriptor(type, &made_)); }
    ~Backend() { cudnnBackendDestroyDescriptor(made_); }
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    template <class T>
    Backend& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                 const std::vector<T>& values) {
        DNN(cudnnBackendSetAttribute(made_, name, type, static_cast<std::int64_t>(values.size()),
                                     values.data()));
        return *this;
    }
    template <class T>
    Backend& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T value) {
        DNN(cudnnBackendSetAttribute(made_, name, type, 1, &value));
        return *this;
    }
    Backend& set(cudnnBackendAttributeName_t name, const Backend& other) {
        return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.made_);
    }
    Backend& finalize() {
        DNN(cudnnBackendFinalize(made_));
        return *this;
    }
    cudnnBackendDescriptor_t get() const { return made_; }

  private:
    cudnnBackendDescriptor_t made_ = nullptr;
};

using Sizes = std::vector<std::int64_t>;

Sizes packed(const Sizes& size) {
    Sizes stride(size.size());
    std::int64_t next = 1;
    for (std::size_t i = size.size(); i-- > 0; next *= size[i]) stride[i] = next;
    return stride;
}

void make_tensor(Backend& tensor, std::int64_t uid, const Sizes& size) {
    tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, size)
        .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, packed(size))
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, uid)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::int64_t{16})
        .finalize();
}

// y = conv(x, w) + beta y, as a plan; 2 x 8 x 10 x 10, 8 filters of 3 x 3.
class Convolution {
  public:
    explicit Convolution(cudaStream_t stream, float beta) {
        DNN(cudnnCreate(&handle_));
        DNN(cudnnSetStream(handle_, stream));
        Backend operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR),
            graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        describe(operation, beta);
        graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation)
            .set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle_)
            .finalize();
        plan(graph);
    }
    ~Convolution() {
        cudnnDestroy(handle_);
        cudaFree(workspace_);
    }
    Convolution(const Convolution&) = delete;
    Convolution& operator=(const Convolution&) = delete;

    void run() {
        Backend pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, Sizes{'x', 'w', 'y'})
            .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                 std::vector<void*>{x.get(), w.get(), y.get()})
            .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace_)
            .finalize();
        DNN(execute != nullptr ? execute(handle_, plan_.get(), pack.get())
                               : cudnnBackendExecute(handle_, plan_.get(), pack.get()));
    }
    void print() const { std::printf("%016llx\n", static_cast<unsigned long long>(y.hash())); }

    decltype(&cudnnBackendExecute) execute = nullptr;  // null: the function itself
    Buffer<float> x{2 * 8 * 100, 1}, w{8 * 8 * 9, 2}, y{2 * 8 * 100, 3};

  private:
    static void describe(Backend& operation, float beta) {
        Backend of_x(CUDNN_BACKEND_TENSOR_DESCRIPTOR), of_w(CUDNN_BACKEND_TENSOR_DESCRIPTOR),
            of_y(CUDNN_BACKEND_TENSOR_DESCRIPTOR), convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
        make_tensor(of_x, 'x', {2, 8, 10, 10});
        make_tensor(of_w, 'w', {8, 8, 3, 3});
        make_tensor(of_y, 'y', {2, 8, 10, 10});
        convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
            .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION)
            .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::int64_t{2});
        for (const auto ones : {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
                                CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES})
            convolution.set(ones, CUDNN_TYPE_INT64, Sizes{1, 1});
        convolution.finalize();
        operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, of_x)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, of_w)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, of_y)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1.0f)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, beta)
            .finalize();
    }
    // The first of the heuristic's configurations.
    void plan(const Backend& graph) {
        Backend heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR),
            configuration(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
            .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_INSTANT)
            .finalize();
        cudnnBackendDescriptor_t found = configuration.get();
        std::int64_t count = 0, workspace = 0;
        DNN(cudnnBackendGetAttribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &found));
        plan_.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle_)
            .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration)
            .finalize();
        DNN(cudnnBackendGetAttribute(plan_.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                                     1, &count, &workspace));
        CUDA(cudaMalloc(&workspace_, static_cast<std::size_t>(workspace) + 16));
    }

    cudnnHandle_t handle_ = nullptr;
    Backend plan_{CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR};
    void* workspace_ = nullptr;
};

class Stream {
  public:
    Stream() { CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
    ~Stream() { cudaStreamDestroy(stream_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    cudaStream_t get() const { return stream_; }

  private:
    cudaStream_t stream_ = nullptr;
};

// y grows from call to call, and x is overwritten right behind each: what is saved too late, or read later
// than its place on the stream, gives a false alarm.
void accumulating(int count) {
    const Stream stream;
    Convolution convolution(stream.get(), 0.5f);
    const Buffer<float> other(2 * 8 * 100, 9);
    for (int i = 0; i < count; ++i) {
        CUDA(cudaMemcpyAsync(convolution.x.get(), other.get(), other.bytes(), cudaMemcpyDeviceToDevice,
                             stream.get()));
        convolution.run();
        CUDA(cudaMemsetAsync(convolution.x.get(), 0, convolution.x.bytes(), stream.get()));
    }
    CUDA(cudaStreamSynchronize(stream.get()));
    convolution.print();
}

void captured(int count) {
    const Stream stream;
    Convolution convolution(stream.get(), 0.5f);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CUDA(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeGlobal));
    convolution.run();
    CUDA(cudaStreamEndCapture(stream.get(), &graph));
    CUDA(cudaGraphInstantiate(&executable, graph, 0));
    for (int i = 0; i < count; ++i) CUDA(cudaGraphLaunch(executable, stream.get()));
    CUDA(cudaStreamSynchronize(stream.get()));
    convolution.print();
    CUDA(cudaGraphExecDestroy(executable));
    CUDA(cudaGraphDestroy(graph));
}

// As the cudnn-frontend package for Python calls it.
void pointer(int count) {
    Convolution convolution(nullptr, 0);
    void* const library = dlopen("libcudnn.so.9", RTLD_NOW);
    require(library != nullptr, "dlopen", 0);
    convolution.execute =
        reinterpret_cast<decltype(&cudnnBackendExecute)>(dlsym(library, "cudnnBackendExecute"));
    for (int i = 0; i < count; ++i) convolution.run();
    CUDA(cudaDeviceSynchronize());
    convolution.print();
}

void threads(int count) {
    Convolution first(nullptr, 0), second(nullptr, 0.5f);
    std::thread other([&] {
        for (int i = 0; i < count; ++i) second.run();
    });
    for (int i = 0; i < count; ++i) first.run();
    other.join();
    CUDA(cudaDeviceSynchronize());
    first.print();
    second.print();
}

// Running statistics are read and written by every call.
void norm(int count) {
    cudnnHandle_t handle = nullptr;
    cudnnTensorDescriptor_t data = nullptr, parameters = nullptr;
    DNN(cudnnCreate(&handle));
    DNN(cudnnCreateTensorDescriptor(&data));
    DNN(cudnnCreateTensorDescriptor(&parameters));
    DNN(cudnnSetTensor4dDescriptor(data, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 4, 6, 5, 5));
    DNN(cudnnDeriveBNTensorDescriptor(parameters, data, CUDNN_BATCHNORM_SPATIAL));
    const Buffer<float> x(600, 1), y(600, 2), dy(600, 3), dx(600, 4), scale(6, 5), bias(6, 6), mean(6, 7),
        variance(6, 8), saved_mean(6, 9), saved_inverse(6, 10), dscale(6, 11), dbias(6, 12);
    const float one = 1, zero = 0;
    for (int i = 0; i < count; ++i) {
        DNN(cudnnBatchNormalizationForwardTraining(handle, CUDNN_BATCHNORM_SPATIAL, &one, &zero, data, x,
                                                   data, y, parameters, scale, bias, 0.1, mean, variance,
                                                   1e-5, saved_mean, saved_inverse));
        DNN(cudnnBatchNormalizationBackward(handle, CUDNN_BATCHNORM_SPATIAL, &one, &zero, &one, &zero, data,
                                            x, data, dy, data, dx, parameters, scale, dscale, dbias, 1e-5,
                                            saved_mean, saved_inverse));
        DNN(cudnnBatchNormalizationForwardInference(handle, CUDNN_BATCHNORM_SPATIAL, &one, &zero, data, x,
                                                    data, y, parameters, scale, bias, saved_mean, variance,
                                                    1e-5));
    }
    for (const auto* buffer : {&y, &dx, &dscale, &mean, &variance})
        std::printf("%016llx\n", static_cast<unsigned long long>(buffer->hash()));
    DNN(cudnnDestroyTensorDescriptor(data));
    DNN(cudnnDestroyTensorDescriptor(parameters));
    DNN(cudnnDestroy(handle));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string name = argc > 1 ? argv[1] : "";
    const int count = argc > 2 ? std::atoi(argv[2]) : 1;
    if (name == "accumulating") accumulating(count);
    if (name == "captured") captured(count);
    if (name == "pointer") pointer(count);
    if (name == "threads") threads(count);
    if (name == "norm") norm(count);
    return 6;
}
