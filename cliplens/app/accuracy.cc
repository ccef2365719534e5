#include "cliplens/app/accuracy.h"

namespace cliplens {

AccuracyInput OpenAccuracy(const Store& store, const RowModel& model, const ClassChoice& choice,
                           const Work& work) {
  const ClassTexts classes = ReadClasses(choice);
  AccuracyInput input;
  input.labels =
      MatchLabels(store.ReadItems(), classes.file, choice.label, store.directory().string());
  input.classifier = EmbedClasses(model, classes, work);
  input.setting.store = store.info();
  input.setting.classes_name = classes.file.name;
  input.setting.classes = std::ssize(classes.file.names);
  input.setting.templates = std::ssize(classes.templates);
  input.setting.foreign = input.labels.foreign;
  return input;
}

}  // namespace cliplens
