# What every target of the project is built with, and the choices a builder has.

option(FUMI_BUILD_TESTS "Build the GoogleTest units and register the end-to-end tests" ON)
option(FUMI_BUILD_BENCH "Build the benchmark programs in tests/bench" OFF)
set(FUMI_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined or thread")
set(FUMI_CUDA_ARCHITECTURES "80;90;100;120" CACHE STRING
    "GPU architectures (sm_NN) that the kernels are compiled for; PTX is added for the last; none: no GPU code at all")
set(FUMI_PYTHON "" CACHE FILEPATH "The Python that has torch; default: .venv/bin/python, else python3 on the PATH")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# Everything that is loaded or run ends up side by side, as it does once installed:
# libfumi_cupti.so finds libfumi_torch.so next to itself, fumi finds both in ../lib.
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

find_program(FUMI_CCACHE ccache)
if(FUMI_CCACHE)
  # A build beside this one (build/release, build/asan) shares what both compile alike.
  # Precompiled headers need the sloppiness that ccache's manual asks for.
  set(fumi_launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${FUMI_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${fumi_launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${fumi_launcher})
endif()

add_library(fumi_flags INTERFACE)
target_compile_options(fumi_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Werror>)
target_include_directories(fumi_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(FUMI_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-O1> -fsanitize=${FUMI_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(fumi_flags INTERFACE -fsanitize=${FUMI_SANITIZE})
endif()

# What this directory and those below it compile is not instrumented: the software device, the tests and the command line,
# which are loaded into nobody's program. They compile as in build/release, which ccache then knows, and run as fast.
# ThreadSanitizer must see every access.
macro(fumi_not_instrumented)
  if(FUMI_SANITIZE AND NOT FUMI_SANITIZE MATCHES thread)
    set_property(DIRECTORY PROPERTY COMPILE_OPTIONS "")
  endif()
endmacro()

# A sanitizer's runtime must be the first library of a process whose program is not instrumented (python) and which loads
# instrumented libraries: FUMI_SANITIZER_PRELOAD goes in front of any LD_PRELOAD.
set(FUMI_SANITIZER_RUNTIME "")
set(FUMI_SANITIZER_PRELOAD "")
if(FUMI_SANITIZE)
  set(fumi_runtime libasan.so)
  if(FUMI_SANITIZE MATCHES thread)
    set(fumi_runtime libtsan.so)
  endif()
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${fumi_runtime}
                  OUTPUT_VARIABLE FUMI_SANITIZER_RUNTIME OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(FUMI_SANITIZER_PRELOAD ${FUMI_SANITIZER_RUNTIME}:)
endif()

# fumi_link_injected(TARGET): links a library that is loaded into somebody else's process. Third-party archives and
# libstdc++ go in statically, nothing but the symbols of TARGET's version script comes out.
# Under a sanitizer libstdc++ stays shared: the sanitizer runtime must see throws.
function(fumi_link_injected target version_script)
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${version_script} -Wl,--exclude-libs,ALL -Wl,-z,defs -Wl,--gc-sections)
  if(NOT FUMI_SANITIZE)
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${version_script})
endfunction()
