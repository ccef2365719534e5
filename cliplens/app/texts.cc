#include "cliplens/app/texts.h"

namespace cliplens {

Array<float, 2> RowsOfPool(const RowModel& model, const TextPool& pool, bool truncate,
                           const Work& work) {
  return CachedTexts(
      model, pool.texts,
      {.truncate = truncate, .threads = work.threads, .progress = work.Stage("texts")});
}

ClassTexts ReadClasses(const ClassChoice& choice) {
  return {ReadClassFile(choice.classes), ReadTemplates(choice.templates), choice.truncate};
}

Classifier EmbedClasses(const RowModel& model, const ClassTexts& classes, const Work& work) {
  return CachedClassifier(
      model, classes.file, classes.templates,
      {.truncate = classes.truncate, .threads = work.threads, .progress = work.Stage("classes")});
}

Classifier OpenClassifier(const RowModel& model, const ClassChoice& choice, const Work& work) {
  return EmbedClasses(model, ReadClasses(choice), work);
}

}  // namespace cliplens
