add_subdirectory(core)
