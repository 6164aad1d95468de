# The kernels, as whoever serves them compiles them: the target simam_kernel.

# 75 to 120: code for 8.6 runs on 8.9 and code for 10.0 on 10.3, while 8.7 and 11.0 (Jetson, Thor)
# want their own. What comes later is compiled by the driver from 7.5's PTX. Each more is 0.2 MB.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75 80-real 86-real 87-real 90-real 100-real 110-real 120-real)
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)

function(compiled_for_every_gpu kernels)
  target_include_directories(${kernels} SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
  target_compile_options(${kernels} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--compress-mode=size>)
endfunction()

set(kernel ${CMAKE_CURRENT_LIST_DIR})
add_library(simam_kernel OBJECT
  ${kernel}/bfloat16.cu ${kernel}/float.cu ${kernel}/half.cu
  ${kernel}/check.cpp ${kernel}/choose.cpp ${kernel}/simam.cpp)
compiled_for_every_gpu(simam_kernel)
