# PyTorch programs on the software device: the ops that tools/softcuda/torch redirects, and whole training runs.
# softcuda_torch_test(NAME COMMAND... [ENVIRONMENT ...]): Python on the device, nothing of FuMi in the process.
function(softcuda_torch_test name)
  cmake_parse_arguments(arg "" "" "COMMAND;ENVIRONMENT" ${ARGN})
  add_test(NAME softcuda_torch.${name} COMMAND ${FUMI_PYTHON} ${arg_COMMAND} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(softcuda_torch.${name} PROPERTIES TIMEOUT 300 COST 20 ENVIRONMENT
    "LD_PRELOAD=${FUMI_SANITIZER_PRELOAD}$<TARGET_FILE:softcuda>;${FUMI_SANITIZER_ENVIRONMENT};PYTHONDONTWRITEBYTECODE=1;${arg_ENVIRONMENT}")
endfunction()

set(softcuda_pytest -m pytest -q -p no:cacheprovider)
softcuda_torch_test(opinfo COMMAND torch_opinfo.py)
softcuda_torch_test(ops COMMAND ${softcuda_pytest} torch_ops.py)
softcuda_torch_test(training COMMAND ${softcuda_pytest} torch_training.py)
softcuda_torch_test(ops_adversarial COMMAND ${softcuda_pytest} torch_ops.py ENVIRONMENT SOFTCUDA_SCHEDULE=adversarial)
softcuda_torch_test(training_adversarial COMMAND ${softcuda_pytest} torch_training.py
                    ENVIRONMENT SOFTCUDA_SCHEDULE=adversarial)
