# What `pip install .` puts into the environment (component "python"; pyproject.toml asks for no other):
#   bin/fumi                      the command; it finds the libraries in ../lib/python3*/site-packages/fumi/lib
#   site-packages/fumi/lib/       what is loaded into the programs under test
#   site-packages/fumi/include/   fumi/compare.h, for C++ programs
# `cmake --install build --component fumi --prefix DIR` gives the same as DIR/bin, DIR/lib and DIR/include, for use without Python.
set(FUMI_INSTALLED_LIBRARIES)
foreach(library fumi_cupti fumi_torch softcuda softcuda_torch)
  if(TARGET ${library})
    list(APPEND FUMI_INSTALLED_LIBRARIES ${library})
  endif()
endforeach()

if(SKBUILD)
  install(TARGETS ${FUMI_INSTALLED_LIBRARIES} LIBRARY DESTINATION fumi/lib COMPONENT python)
  install(FILES ${FUMI_PUBLIC_HEADERS} DESTINATION fumi/include/fumi COMPONENT python)
  install(PROGRAMS $<TARGET_FILE:fumi> $<TARGET_FILE:fumi_calibrate> DESTINATION ${SKBUILD_SCRIPTS_DIR} COMPONENT python)
endif()
install(TARGETS ${FUMI_INSTALLED_LIBRARIES} LIBRARY DESTINATION lib COMPONENT fumi)
install(FILES ${FUMI_PUBLIC_HEADERS} DESTINATION include/fumi COMPONENT fumi)
install(TARGETS fumi fumi_calibrate RUNTIME DESTINATION bin COMPONENT fumi)
