# Finds what the project builds on, and says what to install where something is missing. tools/setup installs it all.

function(fumi_require_header header package)
  string(MAKE_C_IDENTIFIER "FUMI_HEADER_${header}" variable)
  find_path(${variable} ${header})
  if(NOT ${variable})
    message(FATAL_ERROR "${header} not found: run tools/setup, or install the package ${package}")
  endif()
endfunction()

find_package(Threads REQUIRED)
fumi_require_header(CLI/CLI.hpp libcli11-dev)
fumi_require_header(nlohmann/json.hpp nlohmann-json3-dev)
fumi_require_header(fmt/format.h libfmt-dev)
fumi_require_header(spdlog/spdlog.h libspdlog-dev)
fumi_require_header(sqlite3.h libsqlite3-dev)
fumi_require_header(yaml-cpp/yaml.h libyaml-cpp-dev)

# Static archives: what is loaded into the program under test must not bring shared libraries along (design: the
# injected library needs libc alone). Header-only use of fmt and spdlog for the same reason.
foreach(archive sqlite3 yaml-cpp)
  find_library(FUMI_ARCHIVE_${archive} lib${archive}.a)
  if(NOT FUMI_ARCHIVE_${archive})
    message(FATAL_ERROR "lib${archive}.a not found: run tools/setup")
  endif()
endforeach()

add_library(fumi_sqlite INTERFACE)
target_link_libraries(fumi_sqlite INTERFACE ${FUMI_ARCHIVE_sqlite3} Threads::Threads ${CMAKE_DL_LIBS} m)
add_library(fumi_yaml INTERFACE)
# The archive is not position-independent code and goes into a shared library only with a static libstdc++, which
# sanitizer builds cannot have.
if(FUMI_SANITIZE)
  find_library(FUMI_SHARED_YAML libyaml-cpp.so REQUIRED)
  target_link_libraries(fumi_yaml INTERFACE ${FUMI_SHARED_YAML})
else()
  target_link_libraries(fumi_yaml INTERFACE ${FUMI_ARCHIVE_yaml-cpp})
endif()
add_library(fumi_fmt INTERFACE)
target_compile_definitions(fumi_fmt INTERFACE FMT_HEADER_ONLY SPDLOG_FMT_EXTERNAL)

if(FUMI_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(FUMI_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

# The Python that has torch: its LibTorch and the CUDA headers that its NVIDIA wheels bring.
if(NOT FUMI_PYTHON)
  if(SKBUILD AND Python_EXECUTABLE)  # pip install: the Python that it installs for
    set(FUMI_PYTHON ${Python_EXECUTABLE})
  elseif(EXISTS ${PROJECT_SOURCE_DIR}/.venv/bin/python)
    set(FUMI_PYTHON ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  else()
    find_program(FUMI_PYTHON_FOUND python3 REQUIRED)
    set(FUMI_PYTHON ${FUMI_PYTHON_FOUND})
  endif()
endif()
execute_process(
  COMMAND ${FUMI_PYTHON} -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
  OUTPUT_VARIABLE FUMI_TORCH_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT FUMI_TORCH_DIR)
  message(FATAL_ERROR "${FUMI_PYTHON} has no torch: run tools/setup, or pip install torch==2.11.0")
endif()
get_filename_component(FUMI_SITE_PACKAGES ${FUMI_TORCH_DIR} DIRECTORY)

# CUDA headers (cuda.h, cublas_v2.h, cublasLt.h, cupti.h) and nvcc: the toolkit's, else PyPI's nvidia-* wheels.
find_program(FUMI_NVCC nvcc HINTS ENV CUDA_HOME PATH_SUFFIXES bin
             PATHS /usr/local/cuda/bin ${FUMI_SITE_PACKAGES}/nvidia/cu13/bin)
if(NOT FUMI_NVCC)
  message(FATAL_ERROR "nvcc not found: run tools/setup, or install the CUDA toolkit 13.0")
endif()
find_path(FUMI_CUDA_INCLUDE cublasLt.h
          PATHS ${FUMI_SITE_PACKAGES}/nvidia/cu13/include /usr/local/cuda/include NO_DEFAULT_PATH REQUIRED)
find_path(FUMI_CUPTI_INCLUDE cupti.h
          PATHS ${FUMI_CUDA_INCLUDE} /usr/local/cuda/include /usr/local/cuda/extras/CUPTI/include NO_DEFAULT_PATH REQUIRED)

add_library(fumi_cuda_headers INTERFACE)
target_include_directories(fumi_cuda_headers SYSTEM INTERFACE ${FUMI_CUDA_INCLUDE} ${FUMI_CUPTI_INCLUDE})

# cuDNN's headers: its wheel's, else the system's.
find_path(FUMI_CUDNN_INCLUDE cudnn.h
          PATHS ${FUMI_SITE_PACKAGES}/nvidia/cudnn/include ${FUMI_CUDA_INCLUDE} /usr/include REQUIRED)
add_library(fumi_cudnn_headers INTERFACE)
target_include_directories(fumi_cudnn_headers SYSTEM INTERFACE ${FUMI_CUDNN_INCLUDE})
target_link_libraries(fumi_cudnn_headers INTERFACE fumi_cuda_headers)

# LibTorch, for libfumi_torch.so and libsoftcuda_torch.so alone. Linked by path: Torch's own CMake package would ask
# for a CUDA toolkit and set flags for everything. Symbols resolve to the libraries that the program has loaded.
add_library(fumi_torch_headers INTERFACE)
target_include_directories(fumi_torch_headers SYSTEM INTERFACE
  ${FUMI_TORCH_DIR}/include ${FUMI_TORCH_DIR}/include/torch/csrc/api/include)
target_link_libraries(fumi_torch_headers INTERFACE
  ${FUMI_TORCH_DIR}/lib/libc10.so ${FUMI_TORCH_DIR}/lib/libtorch_cpu.so)
