// Builds and saves torch.jit modules: real parameters, a real forward, attributes and extra files.
#include "guard.h"
#include "seqfit.h"

#include <sstream>
#include <string>

#include <torch/csrc/jit/api/module.h>

struct SeqfitModule {
  torch::jit::Module module;
};

extern "C" {

char *seqfit_module_new(const char *name, SeqfitModule **module) {
  return seqfit::guard([&] {
    // Modules in one file share a compilation unit only through register_module, which mangles the name if
    // two classes have the same one.
    auto qualified = c10::QualifiedName(std::string("__torch__.seqfit.") + name);
    *module = new SeqfitModule{torch::jit::Module(qualified)};
    (*module)->module.register_attribute("training", c10::BoolType::get(), false);
  });
}

char *seqfit_module_free(SeqfitModule *module) {
  return seqfit::guard([&] { delete module; });
}

char *seqfit_module_parameter(SeqfitModule *module, const char *name, const at::Tensor *value) {
  return seqfit::guard([&] {
    // A copy, because the parameters in the file must not change with ours and must be trainable again.
    auto copy = value->detach().to(at::kCPU).contiguous().clone();
    copy.requires_grad_(true);
    module->module.register_parameter(name, copy, /*is_buffer=*/false);
  });
}

char *seqfit_module_buffer(SeqfitModule *module, const char *name, const at::Tensor *value) {
  return seqfit::guard([&] {
    auto copy = value->detach().to(at::kCPU).contiguous().clone();
    module->module.register_buffer(name, copy);
  });
}

char *seqfit_module_child(SeqfitModule *module, const char *name, const SeqfitModule *child) {
  return seqfit::guard([&] { module->module.register_module(name, child->module); });
}

char *seqfit_module_ints(SeqfitModule *module, const char *name, const int64_t *values, size_t n) {
  return seqfit::guard([&] {
    c10::List<int64_t> list;
    for (size_t i = 0; i < n; i++) {
      list.push_back(values[i]);
    }
    module->module.register_attribute(name, c10::ListType::ofInts(), list);
  });
}

char *seqfit_module_strings(SeqfitModule *module, const char *name, const char *const *values,
                            size_t n) {
  return seqfit::guard([&] {
    c10::List<std::string> list;
    for (size_t i = 0; i < n; i++) {
      list.push_back(values[i]);
    }
    module->module.register_attribute(name, c10::ListType::ofStrings(), list);
  });
}

char *seqfit_module_float(SeqfitModule *module, const char *name, double value) {
  return seqfit::guard(
      [&] { module->module.register_attribute(name, c10::FloatType::get(), value); });
}

char *seqfit_module_define(SeqfitModule *module, const char *source) {
  return seqfit::guard([&] { module->module.define(source); });
}

char *seqfit_module_archive(const SeqfitModule *module, const char *extra_name,
                            const char *extra_content, void (*take)(void *, const char *, size_t),
                            void *context) {
  return seqfit::guard([&] {
    torch::jit::ExtraFilesMap extra;
    extra.emplace(extra_name, extra_content);
    // Saved to a stream, because saving to a path puts the file's name into the archive.
    std::ostringstream out;
    module->module.save(out, extra);
    const std::string bytes = out.str();
    take(context, bytes.data(), bytes.size());
  });
}
}
