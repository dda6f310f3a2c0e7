#include "decode.h"
namespace emu { bool selectAsync(Encoder&){return false;} bool selectMatrix(Encoder&){return false;} }
