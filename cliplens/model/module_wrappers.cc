#include "cliplens/model/module_wrappers.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr std::string_view kWrappers[] = {"_orig_mod.", "_fsdp_wrapped_module.",
                                          "_checkpoint_wrapped_module."};

// `name` without the parts that are a wrapper's.
std::string Unwrapped(std::string_view name) {
  std::string plain;
  while (!name.empty()) {
    const std::string_view part = name.substr(0, std::min(name.find('.'), name.size() - 1) + 1);
    if (std::ranges::find(kWrappers, part) == std::end(kWrappers)) plain += part;
    name.remove_prefix(part.size());
  }
  return plain;
}

// A file under other names.
class RenamedTensors : public TensorFile {
 public:
  // `names`: from the names that are shown to those in the file.
  RenamedTensors(std::unique_ptr<TensorFile> file, std::map<std::string, std::string> names)
      : file_(std::move(file)), names_(std::move(names)) {
    for (const auto& [name, in_file] : names_) infos_[name] = file_->tensors().at(in_file);
  }
  std::string kind() const override { return file_->kind(); }
  const std::map<std::string, TensorInfo>& tensors() const override { return infos_; }
  std::vector<float> ReadAsFloat(const std::string& name) const override {
    return file_->ReadAsFloat(InFile(name));
  }
  double ReadScalar(const std::string& name) const override {
    return file_->ReadScalar(InFile(name));
  }
  std::filesystem::path FileOf(const std::string& name) const override {
    return file_->FileOf(InFile(name));
  }
  std::vector<std::filesystem::path> files() const override { return file_->files(); }

 private:
  const std::string& InFile(const std::string& name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? name : found->second;
  }

  std::unique_ptr<TensorFile> file_;
  std::map<std::string, std::string> names_;
  std::map<std::string, TensorInfo> infos_;
};

}  // namespace

std::unique_ptr<TensorFile> WithoutWrappers(std::unique_ptr<TensorFile> file) {
  std::map<std::string, std::string> names;
  bool wrapped = false;
  for (const auto& [name, info] : file->tensors()) {
    std::string plain = Unwrapped(name);
    wrapped = wrapped || plain != name;
    const auto [other, added] = names.emplace(std::move(plain), name);
    if (!added) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensors '{}' and '{}' are one and the same without what torch.compile, FSDP "
                  "or checkpointing put around modules; save the weights of one of the two",
                  PathText(file->FileOf(name)), Printable(other->second), Printable(name));
    }
  }
  if (!wrapped) return file;
  return std::make_unique<RenamedTensors>(std::move(file), std::move(names));
}

}  // namespace cliplens
