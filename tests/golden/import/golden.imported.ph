package .golden;
class imported {
    var value : int;
    void imported(var v : int) { value = v; }
};
