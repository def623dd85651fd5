# Defines _cuda, the extension module of the CUDA target: with nvcc, cuBLAS and the CUDA runtime, or, for tests, with the
# C++ compiler and the stand-ins of tests/cuda_emulation in their place.

set(cuda_sources csrc/cuda/backward.cu csrc/cuda/backward_steps.cu csrc/cuda/forward.cu csrc/cuda/device_plan.cu
  csrc/cuda/persistent.cu)
set(cuda_bindings
  csrc/cuda/persistent_split.cpp
  csrc/cuda/bindings/exchange.cpp
  csrc/cuda/bindings/memory.cpp
  csrc/cuda/bindings/module.cpp
  csrc/cuda/bindings/run.cpp
)
set(cuda_shared csrc/bindings/description.cpp csrc/plan/active_rows.cpp csrc/plan/problem.cpp csrc/plan/tape.cpp)

if(LSTM_NATIVE_CUDA_EMULATION)
  pybind11_add_module(_cuda MODULE ${cuda_sources} ${cuda_bindings} ${cuda_shared}
    tests/cuda_emulation/faults.cu tests/cuda_emulation/testing.cpp)
  set_source_files_properties(${cuda_sources} tests/cuda_emulation/faults.cu PROPERTIES LANGUAGE CXX
    COMPILE_OPTIONS "-x;c++")
  target_include_directories(_cuda BEFORE PRIVATE tests/cuda_emulation)
  target_compile_definitions(_cuda PRIVATE LSTM_NATIVE_CUDA_TESTING LSTM_NATIVE_CUDA_TOOLKIT=0)
  # Optimised, but with the checks that NDEBUG would leave out.
  target_compile_options(_cuda PRIVATE -O2 -UNDEBUG -Wno-unknown-pragmas)
  target_link_libraries(_cuda PRIVATE lstm_native_options lstm_native_blas)
  set_target_properties(_cuda PROPERTIES BUILD_RPATH "$ORIGIN")
  return()
endif()

# --- the real one ---------------------------------------------------------------------------------------------------
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # until the compiler's version is known
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "the CUDA target needs nvcc 12 or later; found ${CMAKE_CUDA_COMPILER_VERSION}")
endif()
if(NOT CMAKE_CUDA_ARCHITECTURES)
  # Machine code for each generation since Turing that the compiler knows, and PTX of the newest, which later ones
  # compile for themselves.
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90)
  else()
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120)
  endif()
endif()
find_package(CUDAToolkit REQUIRED)
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" matched "${CMAKE_CUDA_COMPILER_VERSION}")
math(EXPR cuda_version "${CMAKE_MATCH_1} * 1000 + ${CMAKE_MATCH_2} * 10")

# cuBLAS: the toolkit's, or where that has none, the one of the PyPI package nvidia-cublas (nvidia-cublas-cu12 for CUDA 12).
if(NOT TARGET CUDA::cublas)
  if(CMAKE_MATCH_1 GREATER_EQUAL 13)
    set(cublas_package nvidia-cublas)
    set(cublas_folder nvidia/cu${CMAKE_MATCH_1})
  else()
    set(cublas_package nvidia-cublas-cu${CMAKE_MATCH_1})
    set(cublas_folder nvidia/cublas)
  endif()
  set(cublas_root "${LSTM_NATIVE_CUBLAS_ROOT}")
  if(NOT cublas_root)
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
        "import sys, pathlib; print(*[p for p in (pathlib.Path(s) / '${cublas_folder}' for s in sys.path) if p.is_dir()][:1])"
      OUTPUT_VARIABLE cublas_root OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  set(cublas_library "${cublas_root}/lib/libcublas.so.${CMAKE_MATCH_1}")
  if(NOT EXISTS "${cublas_library}")
    message(FATAL_ERROR "CUDA ${CUDAToolkit_VERSION} at ${CUDAToolkit_BIN_DIR} has no cuBLAS, and there is none in "
                        "'${cublas_root}'; install the Python package ${cublas_package}, and where the build is isolated "
                        "from it, name its folder ${cublas_folder} with -DLSTM_NATIVE_CUBLAS_ROOT=...")
  endif()
  # Its headers alone: next to them may lie a runtime's of another version than nvcc's.
  set(cublas_headers "${CMAKE_CURRENT_BINARY_DIR}/cublas_headers")
  foreach(header cublas_v2.h cublas_api.h)
    configure_file("${cublas_root}/include/${header}" "${cublas_headers}/${header}" COPYONLY)
  endforeach()
  add_library(CUDA::cublas SHARED IMPORTED)
  set_target_properties(CUDA::cublas PROPERTIES IMPORTED_LOCATION "${cublas_library}"
    INTERFACE_INCLUDE_DIRECTORIES "${cublas_headers}")
endif()

pybind11_add_module(_cuda MODULE ${cuda_sources} ${cuda_bindings} ${cuda_shared})
target_link_libraries(_cuda PRIVATE lstm_native_options CUDA::cudart_static CUDA::cublas)
target_compile_definitions(_cuda PRIVATE LSTM_NATIVE_CUDA_TOOLKIT=${cuda_version})
set(nvcc_options --expt-relaxed-constexpr -lineinfo -Xcompiler=-Wall,-Wextra,-Wshadow)
if(LSTM_NATIVE_WERROR)
  list(APPEND nvcc_options -Werror=all-warnings -Xcompiler=-Werror)
endif()
target_compile_options(_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${nvcc_options}>")
set_target_properties(_cuda PROPERTIES
  CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_VISIBILITY_PRESET hidden
  # cuBLAS as PyPI's packages install it, beside this package.
  INSTALL_RPATH "$ORIGIN/../nvidia/cu13/lib:$ORIGIN/../nvidia/cublas/lib")
install(TARGETS _cuda DESTINATION lstm_native)
