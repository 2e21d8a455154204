// The Python module utils.ops._C. Importing it registers the operators as torch.ops.step.*, which
// is how utils.ops calls them (torch.compile traces those); the same functions are bound here too.
#include <torch/extension.h>

#include "common/operators.h"
#include "nms/nms.h"
#include "roi_align/roi_align.h"
#include "roi_pool/roi_pool.h"

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("roi_align", &step::Dispatched<step::RoiAlign>::call);
  m.def("roi_pool", &step::Dispatched<step::RoiPool>::call);
  m.def("nms", &step::nms);
  m.def("nms_classes", &step::nms_classes);
  m.attr("torch_version") = TORCH_VERSION;
#ifdef STEP_WITH_CUDA
  m.attr("with_cuda") = true;
#else
  m.attr("with_cuda") = false;
#endif
}
