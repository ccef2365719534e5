// Values under names, for several threads: what is in memory and is asked for by name.
//
//   Registry<std::shared_ptr<const Image>> pictures;
//   pictures.Add("cat", cat);                 // false where the name is taken
//   if (const auto found = pictures.Find("cat")) Use(**found);
//   pictures.Remove("cat");
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace cliplens {

template <typename T>
class Registry {
 public:
  // Whether the name was free; a name that is taken keeps its value.
  bool Add(const std::string& name, T value) {
    const std::scoped_lock lock(mutex_);
    return values_.emplace(name, std::move(value)).second;
  }

  void Remove(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    values_.erase(name);
  }

  std::optional<T> Find(const std::string& name) const {
    const std::scoped_lock lock(mutex_);
    const auto found = values_.find(name);
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, T> values_;
};

}  // namespace cliplens
