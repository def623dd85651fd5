# Defines _cuda, the extension module of the CUDA target: with nvcc, cuBLAS and the CUDA runtime, or, for tests, with the
# C++ compiler and the stand-ins of tests/cuda_emulation in their place.

set(cuda_sources csrc/cuda/backward.cu csrc/cuda/forward.cu csrc/cuda/session.cu)
set(cuda_bindings
  csrc/cuda/bindings/exchange.cpp
  csrc/cuda/bindings/memory.cpp
  csrc/cuda/bindings/module.cpp
  csrc/cuda/bindings/run.cpp
)
set(cuda_shared csrc/plan/active_rows.cpp csrc/plan/problem.cpp csrc/plan/tape.cpp)

if(LSTM_NATIVE_CUDA_EMULATION)
  pybind11_add_module(_cuda MODULE ${cuda_sources} ${cuda_bindings} ${cuda_shared}
    tests/cuda_emulation/faults.cu tests/cuda_emulation/testing.cpp)
  set_source_files_properties(${cuda_sources} tests/cuda_emulation/faults.cu PROPERTIES LANGUAGE CXX
    COMPILE_OPTIONS "-x;c++")
  target_include_directories(_cuda BEFORE PRIVATE tests/cuda_emulation)
  target_compile_definitions(_cuda PRIVATE LSTM_NATIVE_CUDA_TESTING LSTM_NATIVE_CUDA_TOOLKIT=0)
  # Optimised, but with the checks that NDEBUG would leave out.
  target_compile_options(_cuda PRIVATE -O2 -UNDEBUG)
  target_link_libraries(_cuda PRIVATE lstm_native_options lstm_native_blas)
  set_target_properties(_cuda PROPERTIES BUILD_RPATH "$ORIGIN")
  return()
endif()
