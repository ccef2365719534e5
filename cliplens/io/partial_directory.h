// A directory that appears whole or not at all.
//
//   PartialDirectory directory("store/");
//   WriteFileAtomically(directory.path() / "manifest.json", "{}");
//   directory.Commit();
//
// Files are written to `DIRECTORY.partial`, which Commit() renames to `DIRECTORY`. Without Commit
// the destructor removes the partial directory; after KeepOnFailure() it leaves it, so that a later
// run can resume.
//
// One process at a time may write: the object holds a lock (flock) on the partial directory. The
// lock ends with the process, even if it crashes. Some network file systems cannot lock
// directories; there, two runs can write at once and must be kept apart by the user.
#pragma once

#include <filesystem>
#include <string>

namespace cliplens {

class PartialDirectory {
 public:
  enum class Mode {
    kNew,     // neither the directory nor its partial may exist
    kResume,  // resumes an existing partial, or makes one
  };

  // Throws Error(kPrecondition) when `directory` exists, when its partial exists (kNew) or is
  // locked by another run, kNotFound when its parent does not exist. `next_step` ends the message
  // about a partial that an earlier run left.
  explicit PartialDirectory(const std::filesystem::path& directory, Mode mode = Mode::kNew,
                            const std::string& next_step = "remove it and run again");
  ~PartialDirectory();
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;

  // Where to write.
  const std::filesystem::path& path() const { return partial_; }
  // Whether the partial existed before.
  bool resumed() const { return resumed_; }
  void KeepOnFailure() { keep_ = true; }
  void DropOnFailure() { keep_ = false; }
  void Commit();

  // `STORE.partial` of `STORE`; "store/" names the same directory as "store".
  static std::filesystem::path PartialPath(const std::filesystem::path& directory);

 private:
  void Lock();

  std::filesystem::path final_;
  std::filesystem::path partial_;
  int descriptor_ = -1;  // of the partial directory, with the lock
  bool resumed_ = false;
  bool keep_ = false;
  bool committed_ = false;
};

}  // namespace cliplens
