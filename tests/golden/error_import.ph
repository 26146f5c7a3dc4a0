// What an import brings in has errors of its own.
package .golden;
import .golden.broken;
import .golden.misnamed;
class a { };
